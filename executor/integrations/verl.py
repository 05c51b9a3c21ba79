"""A reward function for verl.

    reward:
      custom_reward_function: {path: pkg://executor.integrations.verl, name: compute_score}

`ground_truth` is what verl's coding data has (`inputs`, `outputs`, perhaps `fn_name`), or a task row. verl has no value
that leaves a sample out: `infra` is graded once more and is then `{"score": 0.0, "infra": 1}`, so filter or watch
`infra` in the logs.
"""

import json
from collections.abc import Mapping
from typing import Any

from executor.grading.rewards import RewardConfig
from executor.integrations.grading import grade_submissions
from executor.integrations.rows import read_ground_truth
from executor.types import Status, Submission


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | Mapping[str, Any],
    extra_info: Mapping[str, Any] | None = None,
    *,
    executor: str | None = None,
    rewards: Mapping[str, float] | None = None,
    **kwargs: Any,
) -> dict[str, float]:
    """Grade a solution.

    Args:
        data_source: not used.
        solution_str: completion of the model.
        ground_truth: an object, or its JSON text.
        extra_info: not used.
        executor: backend or address of a service; default: the environment's ATOMFORGE_EXECUTOR, else `auto`.
        rewards: coefficients of `RewardConfig`; default: 1 for passing every test.
        kwargs: what else verl passes on; not used.

    Returns:
        `score`, which verl trains on, and `passed`, `fraction_passed` and `infra`, which it logs.

    Raises:
        ValueError: `ground_truth` cannot be graded; one line.
    """
    text = ground_truth if isinstance(ground_truth, str) else json.dumps(ground_truth)
    submission = Submission(task=read_ground_truth(text, solution_str), completion=solution_str)
    [outcome] = grade_submissions([submission], backend=executor, rewards=RewardConfig(**(rewards or {})))
    return {
        "score": 0.0 if outcome.reward is None else outcome.reward.total,
        "passed": float(outcome.passed),
        "fraction_passed": outcome.num_passed / outcome.num_tests,
        "infra": int(outcome.status is Status.INFRA),
    }
