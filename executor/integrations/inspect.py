"""A dataset reader and a scorer for inspect_ai.

    Task(dataset=json_dataset("tasks.jsonl", record_to_sample), solver=generate(), scorer=code_scorer())

`infra` is an unscored sample (`Score.unscored`), which metrics leave out.
"""

import json
from functools import partial
from typing import Any

import anyio.to_thread
from inspect_ai.dataset import Sample  # pyright: ignore[reportMissingImports]
from inspect_ai.scorer import (  # pyright: ignore[reportMissingImports]
    CORRECT,
    INCORRECT,
    Score,
    Scorer,
    Target,
    accuracy,
    scorer,
    stderr,
)
from inspect_ai.solver import TaskState  # pyright: ignore[reportMissingImports]

from executor.integrations.grading import grade_submissions
from executor.integrations.rows import read_task
from executor.types import Status, Submission


def record_to_sample(row: dict[str, Any]) -> Sample:
    """Make a sample of a task row that has a `prompt`; its target is the row.

    Raises:
        ValueError: it is not a task row; one line.
    """
    task = read_task(row)
    if task.prompt is None:
        raise ValueError(f"task {task.task_id}: prompt is missing")
    return Sample(id=task.task_id, input=task.prompt, target=json.dumps(row))


@scorer(metrics=[accuracy(), stderr()])
def code_scorer(executor: str | None = None) -> Scorer:
    """Score whether the program of a completion passes its task.

    Args:
        executor: backend or address of a service; default: the environment's ATOMFORGE_EXECUTOR, else `auto`.
    """

    async def score(state: TaskState, target: Target) -> Score:
        submission = Submission(task=read_task(target.text), completion=state.output.completion)
        [outcome] = await anyio.to_thread.run_sync(partial(grade_submissions, [submission], backend=executor))
        if outcome.status is Status.INFRA:
            return Score.unscored(reason="scoring_failed", explanation=outcome.detail)
        return Score(
            value=CORRECT if outcome.passed else INCORRECT,
            answer=submission.completion,
            explanation=outcome.detail or None,
            metadata={
                "status": outcome.status.value,
                "num_passed": outcome.num_passed,
                "num_tests": outcome.num_tests,
            },
        )

    return score
