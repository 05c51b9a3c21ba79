"""A reward function for OpenRLHF, in the process of its rollouts.

    --reward.remote_url FILE.py --data.label_key task

FILE.py has `from executor.integrations.openrlhf import reward_func`. A label is a task row in JSON. The backend
is that of the environment, ATOMFORGE_EXECUTOR, else `auto`. OpenRLHF has no value that leaves a sample out: `infra` is
graded once more and then raises, which OpenRLHF logs; the sample has no reward, and without a reward model it stops.
"""

from collections.abc import Sequence
from typing import Any

from executor.integrations.grading import grade_submissions
from executor.integrations.rows import cut_prompt, read_task
from executor.types import Status, Submission


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str], **kwargs: Any) -> dict[str, Any]:
    """Grade responses.

    Args:
        queries: prompts with responses, special tokens included.
        prompts: the prompts alone.
        labels: task rows.
        kwargs: what else OpenRLHF passes on; not used.

    Returns:
        Tensors `[B]` of float: `rewards` for the loss, `scores` (within 0 and 1) by which prompts are filtered, and
        `extra_logs` to be logged.

    Raises:
        RuntimeError: a response could not be graded, through a fault of ours.
        ValueError: a label is no task row, or a query does not contain its prompt.
    """
    import torch

    submissions = [
        Submission(task=read_task(label), completion=cut_prompt(query, prompt))
        for query, prompt, label in zip(queries, prompts, labels, strict=True)
    ]
    outcomes = grade_submissions(submissions)
    for outcome in outcomes:
        if outcome.status is Status.INFRA:
            raise RuntimeError(f"a response could not be graded: {outcome.detail}")
    passed = torch.tensor([float(outcome.passed) for outcome in outcomes])
    fractions = torch.tensor([outcome.num_passed / outcome.num_tests for outcome in outcomes])
    return {"rewards": passed, "scores": passed.clone(), "extra_logs": {"fraction_passed": fractions}}
