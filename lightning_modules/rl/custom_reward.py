"""A reward function of the user's, by dotted path: what it returns is a further part of the reward, `own`.

It sees answers that have a verdict; one that a fault of the sandbox left without one never gets here. It runs in the
training process, so it must be quick.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from datamodules.batches import TaskPrompt
from executor.backends.plugin import load_object
from executor.types import Outcome, Reward

PART = "own"
_WHAT = "reward_function"


class RewardFunction(Protocol):
    """What is to be written: a pure function of one answer."""

    def __call__(self, *, prompt: TaskPrompt, completion: str, outcome: Outcome) -> float:
        """Return what is added to the reward.

        Args:
            prompt: the task as the model saw it, with its atoms, depth and language.
            completion: the text of the answer.
            outcome: its verdict: `status`, `num_passed` of `num_tests`, `duration_s`, and `reward` so far.
        """
        ...


def load_reward_function(path: str) -> RewardFunction:
    """Import a reward function.

    Raises:
        ValueError: there is none at `path`; one line.
    """
    function: RewardFunction = load_object(path, what=_WHAT)
    if not isinstance(function, Callable):
        raise ValueError(f"{_WHAT}: {path} is no function but {type(function).__name__}")
    return function


def with_own_reward(
    outcomes: Sequence[Outcome],
    prompts: Sequence[TaskPrompt],
    completions: Sequence[str],
    function: RewardFunction,
) -> list[Outcome]:
    """Add the function's part to every known reward.

    Raises:
        ValueError: it failed, or returned something that is no finite number; one line with the task.
    """
    return [
        outcome
        if outcome.reward is None
        else replace(outcome, reward=_added(outcome.reward, _own(function, outcome, prompt, completion)))
        for outcome, prompt, completion in zip(outcomes, prompts, completions, strict=True)
    ]


def total_own(outcomes: Sequence[Outcome]) -> tuple[float, int]:
    """Add the part up over the known rewards, and count these."""
    parts = [outcome.reward.parts[PART] for outcome in outcomes if outcome.reward is not None]
    return sum(parts), len(parts)


def _own(function: RewardFunction, outcome: Outcome, prompt: TaskPrompt, completion: str) -> float:
    try:
        value = function(prompt=prompt, completion=completion, outcome=outcome)
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"{_WHAT} failed on task {prompt.task_id}: {type(error).__name__}: {said}") from error
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{_WHAT} must return a finite number; on task {prompt.task_id} it returned {value!r:.60}")
    return float(value)


def _added(reward: Reward, own: float) -> Reward:
    return Reward(total=reward.total + own, parts={**reward.parts, PART: own})
