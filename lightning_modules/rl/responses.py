"""Completions with their verdicts, and what models say of their tokens: what samples and metrics are made of."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from datamodules.batches import TaskPrompt
from executor.types import Outcome, Reward
from lightning_modules.generation.generate import Generated


class Response(NamedTuple):
    """One completion with its verdict; the verdict's `reward` is None where it is unknown."""

    prompt_ids: list[int]
    group: int
    """Number of the prompt within the iteration on this rank: 0, 1, ..."""
    generated: Generated
    outcome: Outcome

    @property
    def reward(self) -> Reward | None:
        return self.outcome.reward


def responses_of(
    prompts: Sequence[TaskPrompt], generated: Sequence[Generated], outcomes: Sequence[Outcome]
) -> list[Response]:
    """Put together what belongs together, and number the tasks as they appear."""
    group_of: dict[str, int] = {}
    return [
        Response(prompt.prompt_ids, group_of.setdefault(prompt.task_id, len(group_of)), item, outcome)
        for prompt, item, outcome in zip(prompts, generated, outcomes, strict=True)
    ]


class TokenScores(NamedTuple):
    """What policy, critic and reference say of each token, all `[N, L]`; `mask` is True on the tokens of a response."""

    logprobs: Tensor
    ref_logprobs: Tensor
    values: Tensor
    mask: Tensor
