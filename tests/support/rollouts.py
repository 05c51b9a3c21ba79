"""Hand-made rollouts with their numbers per token."""

from collections.abc import Sequence

import torch

from executor.types import Outcome, Reward, Status
from lightning_modules.generation.sampler import Completion
from lightning_modules.rl.rollouts.metrics import REWARD_PARTS
from lightning_modules.rl.rollouts.records import Rollout, TokenLogprobs
from tests.support.small_data import task_prompt


def make_rollout(
    reward: float | None,
    *,
    group: int = 0,
    prompt_ids: Sequence[int] = (1, 4),
    length: int = 2,
    finished: bool = True,
    parts: dict[str, float] | None = None,
    token: int = 5,
) -> Rollout:
    """Make a rollout that passed if its reward is above 0, or had an infra fault if it is None."""
    status = Status.INFRA if reward is None else Status.PASSED if reward > 0 else Status.WRONG
    parts = {**dict.fromkeys(REWARD_PARTS, 0.0), **(parts or {"passed": reward or 0.0})}
    outcome = Outcome(
        status=status,
        num_passed=0,
        num_tests=1,
        duration_s=0.0,
        reward=None if reward is None else Reward(total=reward, parts=parts),
    )
    completion = Completion("", [token] * length, [-1.0] * length, finished)
    return Rollout(task_prompt(f"t{group}", prompt_ids=prompt_ids), group, completion, outcome)


def make_logprobs(
    lengths: Sequence[int], *, logprob: float = -1.0, ref_logprob: float = -1.5, value: float = 0.25
) -> TokenLogprobs:
    """Make the same numbers for all tokens of completions of these lengths."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return TokenLogprobs(*(torch.where(mask, number, 0.0) for number in (logprob, ref_logprob, value)), mask)
