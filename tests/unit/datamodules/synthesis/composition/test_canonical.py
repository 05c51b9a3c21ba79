import pytest

from datamodules.synthesis.composition.canonical import find_proper_subtrees, normalised_hash, parse_skeleton


def test_skeleton_read_back_from_a_program_ignores_names_and_layout():
    program = "def solve(p: list[int], q: int) -> int:\n    big = largest(rotate(p, q))\n    return minus(big, -3)\n"
    assert parse_skeleton(program) == "minus(largest(rotate(P0, P1)), C)"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("def solve(a):\n    for x in a:\n        return f(x)\n", "not a composition"),
        ("def solve(a):\n    return a + 1\n", "neither a call"),
        ("def other(a):\n    return f(a)\n", "no function solve"),
        ("def solve(a:\n", "not Python"),
    ],
)
def test_other_programs_have_no_skeleton(program, words):
    with pytest.raises(ValueError, match=words):
        parse_skeleton(program)


def test_proper_subtrees_are_renumbered():
    assert find_proper_subtrees("minus(P0, largest(rotate(P1, C)))") == {"largest(rotate(P0, C))", "rotate(P0, C)"}


PROGRAM = """def clip(values: list[int], top: int) -> list[int]:
    kept = [value for value in values if value < top]
    return kept


def solve(a: list[int]) -> list[int]:
    return clip(a, 3)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value ", "v "),
        ("kept", "answer"),
        ("values", "numbers"),
        ("solve(a: ", "solve(q: "),
        ("return kept", "return  kept  # x"),
    ],
)
def test_names_layout_and_comments_do_not_count(old, new):
    changed = PROGRAM.replace(old, new)
    if old == "value ":
        changed = PROGRAM.replace("[value for value in values if value", "[v for v in values if v")
    if old == "solve(a: ":
        changed = changed.replace("clip(a,", "clip(q,")
    assert changed != PROGRAM
    assert normalised_hash(changed) == normalised_hash(PROGRAM)


def test_docstrings_and_the_order_of_functions_do_not_count():
    helper, solve = PROGRAM.split("\n\n\n")
    documented = helper.replace(":\n    kept", ':\n    """Clip."""\n    kept')
    assert normalised_hash(f"{solve}\n\n{documented}\n") == normalised_hash(PROGRAM)


@pytest.mark.parametrize(
    ("old", "new"), [("< top", "<= top"), ("(a, 3)", "(a, 4)"), ("list[int]) ->", "list[str]) ->"), ("clip", "cut")]
)
def test_everything_else_counts(old, new):
    assert normalised_hash(PROGRAM.replace(old, new)) != normalised_hash(PROGRAM)


def test_swapping_two_names_is_not_a_renaming():
    assert normalised_hash("def f(a, b):\n    return a - b\n") != normalised_hash("def f(a, b):\n    return b - a\n")


def test_nested_functions_are_local_names():
    one = "def f(n):\n    def g(k):\n        return k\n    return g(n)\n"
    assert normalised_hash(one) == normalised_hash(one.replace("g(", "inner("))
