"""Records of an iteration's rollouts; `Completion` and `Outcome` are those of generation and executor.

Shapes: `N` completions of an iteration on this rank, padded on the right to `L` tokens.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.batches import PromptBatch, TaskPrompt
from datamodules.encoding.prefix_packing import completion_mask
from executor.types import Outcome, Reward
from lightning_modules.generation.sampler import Completion
from lightning_modules.rl.objectives.rollout_correction import RolloutCorrection


class Rollout(NamedTuple):
    """A completion with its outcome."""

    prompt: TaskPrompt
    group: int
    """Index of the prompt within the iteration on this rank, the same for all of its completions: 0, 1, ..."""
    completion: Completion
    outcome: Outcome

    @property
    def reward(self) -> Reward | None:
        """The reward; None after an infra fault."""
        return self.outcome.reward


class SampledRollouts(NamedTuple):
    """The rollouts of an iteration on this rank."""

    trained: list[Rollout]
    """N rollouts that advantages are computed for, the completions of a prompt next to each other."""
    streams: list[int]
    """[N] names of their random numbers."""
    generated: list[Rollout]
    """All that were generated; more than N with dynamic sampling."""
    num_batches: int
    """Batches of prompts that were sampled."""
    batch: PromptBatch
    """The first of them."""


class TokenLogprobs(NamedTuple):
    """What policy, reference policy and critic compute for each token, [N, L] each; 0 outside the mask."""

    logprobs: Tensor
    ref_logprobs: Tensor
    values: Tensor
    """Of the state before the token; 0 without a critic."""
    mask: Tensor
    """bool, True on the tokens of a completion"""
    from_sampler: bool = False
    """Whether these are the log-probabilities of sampling, also in place of the reference policy's."""


class Advantages(NamedTuple):
    """The training targets of an iteration."""

    advantages: Tensor
    """[N, L]"""
    returns: Tensor
    """[N, L] targets of the critic; 0 without one"""
    loss_mask: Tensor
    """[N, L] bool, True on the tokens that the policy is trained on"""
    value_mask: Tensor
    """[N, L] bool, True on the tokens that the critic is trained on: those of completions with a reward"""
    zero_variance: Tensor
    """[N] bool, True for completions of a group whose rewards are all equal"""
    correction: RolloutCorrection | None = None
    """Importance weights that the advantages were multiplied by; None without any"""


def gather_sampler_logprobs(rollouts: Sequence[Rollout]) -> TokenLogprobs:
    """Gather the log-probabilities of sampling, [N, L], also in place of the reference policy's; values are 0."""
    mask = completion_mask(torch.tensor([len(rollout.completion.token_ids) for rollout in rollouts]))
    logprobs = scatter_sampler_logprobs(rollouts, mask)
    return TokenLogprobs(logprobs, logprobs, torch.zeros(mask.shape), mask, from_sampler=True)


def scatter_sampler_logprobs(rollouts: Sequence[Rollout], mask: Tensor) -> Tensor:
    """[N, L] log-probabilities of sampling at the tokens of a mask [N, L], 0 elsewhere."""
    logprobs = torch.zeros(mask.shape)
    logprobs[mask] = torch.tensor([value for rollout in rollouts for value in rollout.completion.logprobs])
    return logprobs


def number_groups(rollouts: Sequence[Rollout]) -> Tensor:
    """[N] the groups of rollouts, numbered 0, 1, ... without gaps."""
    numbers: dict[int, int] = {}
    return torch.tensor([numbers.setdefault(rollout.group, len(numbers)) for rollout in rollouts])
