"""The English frames of prompts (`datamodules.synthesis.wording.frame`)."""

from __future__ import annotations

from datamodules.synthesis.wording.frame import NAMED, Frame


def english_frame(
    name: str,
    opening: str,
    steps: tuple[str, ...],
    joiner: str,
    closing: str,
    *,
    previous: str = "the result",
    earlier: str = "the result of step {number}",
) -> Frame:
    """Build a frame from the templates of its first, middle, last and only step."""
    first, middle, last, only = steps
    return Frame(name, opening, first, middle, last, only, joiner, closing, previous, earlier)


ENGLISH_FRAMES = (
    english_frame(
        "first_then",
        "Write `{typed}`: ",
        ("first {clause}", "then {clause}", "finally {clause}", "{clause}"),
        ", ",
        ".",
    ),
    english_frame(
        "numbered_lines",
        "`{typed}`\n",
        ("{number}. {Clause}",) * 3 + ("{Clause}",),
        "\n",
        "",
        previous="the result of step {number}",
    ),
    english_frame(
        "to_get",
        "Implement `{typed}`. ",
        ("{Clause} to get `{name}`",) * 2 + ("Return what you get when you {clause}",) * 2,
        ". ",
        ".",
        **NAMED,
    ),
    english_frame(
        "types_last",
        "Define `{bare}` that will ",
        ("{clause}", "next {clause}", "and in the end {clause}", "{clause}"),
        ", ",
        ". Arguments: {types}.",
    ),
    english_frame(
        "given",
        "Given {types}, `solve` must ",
        ("{clause}", "after that {clause}", "after that {clause}", "{clause}"),
        "; ",
        ".",
        previous="the outcome",
        earlier="the outcome of step {number}",
    ),
    english_frame(
        "parenthesised",
        "Python function `{typed}`: ",
        ("({number}) {clause}",) * 3 + ("{clause}",),
        "; ",
        ".",
        previous="({number})",
        earlier="({number})",
    ),
    english_frame(
        "step_by_step",
        "Complete `{typed}`. ",
        ("Step {number}: {clause}",) * 3 + ("Task: {clause}",),
        ". ",
        ".",
        previous="the last result",
    ),
    english_frame(
        "pipeline",
        "`{typed}` as a pipeline: ",
        ("{clause}",) * 4,
        " | ",
        "",
        previous="that output",
        earlier="output {number}",
    ),
    english_frame(
        "signature_last",
        "",
        ("{Clause}", "Then {clause}", "Last, {clause}", "{Clause}"),
        ". ",
        ". Signature: `{typed}`.",
        previous="that",
    ),
    english_frame(
        "let",
        "",
        ("Let `{name}` be the outcome when you {clause}",) * 2
        + ("`{typed}` gives what comes out when you {clause}",) * 2,
        ". ",
        ".",
        **NAMED,
    ),
    english_frame(
        "bare",
        "Code `{bare}` to ",
        ("{clause}", "{clause}", "and {clause}", "{clause}"),
        ", ",
        ".",
        previous="what results",
    ),
    english_frame(
        "bullets",
        "Function: `{typed}`\n",
        ("- {clause} (`{name}`)",) * 2 + ("- {clause}, and return it", "- {clause}"),
        "\n",
        "",
        **NAMED,
    ),
    english_frame(
        "begin_continue",
        "Please write `{typed}`. ",
        ("Begin: {clause}", "Continue: {clause}", "End: {clause}", "It should {clause}"),
        ". ",
        ".",
        previous="the intermediate result",
        earlier="intermediate result {number}",
    ),
    english_frame(
        "assignments",
        "Fill in `{typed}`: ",
        ("`{name}` := {clause}",) * 2 + ("return := {clause}",) * 2,
        "; ",
        ".",
        **NAMED,
    ),
)
