"""The metric pass@k for lm-evaluation-harness, in place of `code_eval`, which runs programs on the host.

    lm_eval --model hf ... --tasks humaneval_atomforge --include_path executor/integrations

The task of that name has no `unsafe_code`. In a task YAML of your own, next to a copy of this file or a link to it:
`metric: !function lm_eval.pass_at_k`. The harness has no value that leaves a sample out: `infra` is graded once more
and then stops the evaluation with an error.
"""

import ast
import re
from collections.abc import Sequence
from typing import Any

from executor.grading.pass_at_k import pass_at_k as estimate_pass_at_k
from executor.grading.tasks import parse_task
from executor.integrations.grading import grade_submissions
from executor.integrations.rows import build_assert_task
from executor.syntax import parse_module
from executor.types import Status, Submission, Task

_CHECK_CALL = re.compile(r"^check\(\s*([A-Za-z_]\w*)\s*\)\s*\Z", re.MULTILINE)


def pass_at_k(
    references: Sequence[str], predictions: Sequence[Sequence[str]], k: int | Sequence[int] = 1
) -> dict[str, float]:
    """Compute pass@k, averaged over problems.

    Args:
        references: tests of each problem: HumanEval's (`def check(candidate)`, then `check(NAME)`) or asserts (MBPP).
        predictions: programs of each problem.
        k: one value or several; each at most the number of programs.

    Returns:
        `pass@K` for each K.

    Raises:
        RuntimeError: a program could not be graded, through a fault of ours.
        ValueError: a reference is neither; one line.
    """
    tasks = [read_reference(reference) for reference in references]
    pairs = [(task, program) for task, programs in zip(tasks, predictions, strict=True) for program in programs]
    outcomes = grade_submissions([Submission(task=task, completion=program) for task, program in pairs])
    for outcome in outcomes:
        if outcome.status is Status.INFRA:
            raise RuntimeError(f"a program could not be graded: {outcome.detail}")
    remaining = iter(outcomes)
    counts = [(len(programs), sum(next(remaining).passed for _ in programs)) for programs in predictions]
    ks = [k] if isinstance(k, int) else k
    return {f"pass@{one}": sum(estimate_pass_at_k(n, c, one) for n, c in counts) / len(counts) for one in ks}


def read_reference(reference: str) -> Task:
    """Make a task of the tests of a problem.

    Raises:
        ValueError: they are neither a check with a call of it nor asserts; one line.
    """
    if called := _CHECK_CALL.search(reference):
        row = {"task_id": called[1], "entry_point": called[1], "check": reference[: called.start()]}
        return parse_task(row)
    try:
        statements = parse_module(reference).body
    except (SyntaxError, ValueError):
        raise ValueError(f"a reference must be Python, not {reference[:60]!r}") from None
    return build_assert_task([ast.unparse(statement) for statement in statements], task_id="reference")


def build_predictions(resps: list[list[str]], docs: list[dict[str, Any]]) -> list[list[str]]:
    """Join prompts and completions of HumanEval, as its task YAML does."""
    return [
        [doc["prompt"] + completion for completion in completions] for completions, doc in zip(resps, docs, strict=True)
    ]
