"""A user-defined reward function, by import path: its value is added to the reward as the part `custom`.

It is called for completions that have a reward, not after an infra fault. It runs in the training process, so it should
be fast.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from datamodules.batches import TaskPrompt
from executor.backends.plugin import load_object
from executor.types import Outcome, Reward
from lightning_modules.generation.sampler import Completion

CUSTOM_PART = "custom"
_KEY = "reward_function"


class RewardFunction(Protocol):
    """The interface of a custom reward: a pure function of one completion."""

    def __call__(self, *, prompt: TaskPrompt, completion: str, outcome: Outcome) -> float:
        """Return the number to add to the reward.

        Args:
            prompt: The task, with its prompt, atoms, depth and language.
            completion: Text of the completion.
            outcome: `status`, `num_passed` of `num_tests`, `duration_s`, and the `reward` so far.
        """
        ...


def load_reward_function(path: str) -> RewardFunction:
    """Import a reward function, such as `my_module.my_function`.

    Raises:
        ValueError: There is no function at `path`.
    """
    function: RewardFunction = load_object(path, what=_KEY)
    if not isinstance(function, Callable):
        raise ValueError(f"{_KEY}: {path} is not a function but {type(function).__name__}")
    return function


def add_custom_reward(
    outcomes: Sequence[Outcome],
    prompts: Sequence[TaskPrompt],
    completions: Sequence[Completion],
    function: RewardFunction,
) -> list[Outcome]:
    """Add the value of `function` to each reward that is known.

    Raises:
        ValueError: The function failed or did not return a finite number; the message names the task.
    """
    return [
        outcome if outcome.reward is None else _add(outcome, outcome.reward, prompt, completion.text, function)
        for outcome, prompt, completion in zip(outcomes, prompts, completions, strict=True)
    ]


def _add(outcome: Outcome, reward: Reward, prompt: TaskPrompt, text: str, function: RewardFunction) -> Outcome:
    try:
        value = function(prompt=prompt, completion=text, outcome=outcome)
    except Exception as error:
        message = " ".join(str(error).split())[:200]
        raise ValueError(f"{_KEY} failed on task {prompt.task_id}: {type(error).__name__}: {message}") from error
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{_KEY} must return a finite number; on task {prompt.task_id} it returned {value!r:.60}")
    parts = {**reward.parts, CUSTOM_PART: float(value)}
    return replace(outcome, reward=Reward(total=reward.total + float(value), parts=parts))
