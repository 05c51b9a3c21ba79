"""A reward function for TRL's GRPO and RLOO trainers.

    from executor.integrations.trl import reward
    trainer = GRPOTrainer(model=..., reward_funcs=reward(), train_dataset=...)

The data set has a column `task` with task rows (see `executor.integrations.rows.read_columns` for other columns).
`infra` is None, which TRL leaves out of the reward and the loss.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from executor.grading.rewards import RewardConfig
from executor.integrations.grading import grade_submissions
from executor.integrations.rows import read_columns
from executor.types import Status, Submission, Task


class CodeReward:
    """Rewards of a batch. It can be pickled; each process opens an executor of its own at the first call.

    Args:
        executor: backend, or address of a service.
        rewards: weights of the parts of a reward.
    """

    def __init__(self, executor: str, rewards: RewardConfig):
        self.executor = executor
        self.rewards = rewards
        self.__name__ = "atomforge"
        """Name of the reward in TRL's logs."""

    def __call__(
        self,
        prompts: list[Any],
        completions: list[Any],
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        tasks = read_columns(columns, len(completions))
        submissions = [
            Submission(task=_add_prompt(task, prompt), completion=_read_text(completion))
            for task, prompt, completion in zip(tasks, prompts, completions, strict=True)
        ]
        outcomes = grade_submissions(submissions, backend=self.executor, rewards=self.rewards)
        if log_metric is not None and outcomes:
            num_infra = sum(outcome.status is Status.INFRA for outcome in outcomes)
            log_metric("atomforge/infra", num_infra / len(outcomes))
        return [None if outcome.reward is None else outcome.reward.total for outcome in outcomes]


def reward(executor: str = "auto", **coefs: float) -> CodeReward:
    """Make a reward function.

    Args:
        executor: backend or address of a service, as in `open_executor`.
        coefs: `passed_coef`, `fraction_coef`, `loads_coef` and `time_coef` of `RewardConfig`.

    Raises:
        ValueError: a coefficient is out of range.
    """
    return CodeReward(executor, RewardConfig(**coefs))


def _add_prompt(task: Task, prompt: Any) -> Task:
    """Add a prompt of plain text, which a completion may continue; the completion of a chat stands alone."""
    return replace(task, prompt=prompt) if task.prompt is None and isinstance(prompt, str) else task


def _read_text(completion: Any) -> str:
    """Read a completion: a text, or a list of messages whose last one is the answer."""
    return completion if isinstance(completion, str) else completion[-1]["content"] or ""
