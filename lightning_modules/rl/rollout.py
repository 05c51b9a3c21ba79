"""From prompts, completions and verdicts to the samples that are trained on. Nothing here generates or executes.

Shapes: `N` responses of an iteration on this rank, padded on the right to `L` tokens, `T` tokens of a row with its
prompt. The value of a token is that of the state it was chosen in. An infrastructure fault is no reward: such a
response is left out of the loss, of whitening and of every mean.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.batches import RolloutSample
from datamodules.prefix_packing import PackedAnswers, pack_answers
from executor.types import Status
from lightning_modules.models.compute import uses_flex_attention
from lightning_modules.models.policy import Policy
from lightning_modules.models.reference import ReferencePolicy
from lightning_modules.rl.advantages import (
    generalized_advantages,
    group_relative,
    leave_one_out,
    rewards_to_go,
    token_rewards,
    uniform_groups,
)
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig
from lightning_modules.rl.kl_control import KLConfig
from lightning_modules.rl.metrics import response_metrics, share_metrics, token_metrics
from lightning_modules.rl.numerics import (
    SumOverRanks,
    alone,
    kl_estimate,
    kl_k1,
    masked_mean,
    moment_sums,
    token_logprobs,
    whiten,
)
from lightning_modules.rl.responses import Response, TokenScores
from lightning_modules.training.packed_loss import packed_mask


class Collection(NamedTuple):
    """The samples of an iteration on this rank, and what was measured on those of all ranks: a number for each tag."""

    samples: list[RolloutSample]
    metrics: dict[str, float]
    kl_per_response: float
    """Mean over the responses of this rank with a reward of the summed k1, nats."""
    num_known: int
    """Responses of this rank with a reward."""
    num_judged: Tensor
    """[G] long, responses with a verdict, by group (n of pass@k)"""
    num_correct: Tensor
    """[G] long, responses that passed (c of pass@k)"""

    def kl_over_ranks(self, sum_over_ranks: SumOverRanks) -> tuple[float, int]:
        """Mean divergence of the responses with a reward, in nats, and how many there are, over all ranks."""
        total, count = self.kl_per_response * self.num_known, self.num_known
        sums = sum_over_ranks(torch.tensor([total, count], dtype=torch.float64))
        return float(sums[0] / sums[1].clamp(min=1)), int(sums[1])


@torch.no_grad()
def score_tokens(
    policy: Policy,
    reference: ReferencePolicy,
    prompt_ids: Sequence[list[int]],
    response_ids: Sequence[list[int]],
    *,
    batch_size: int,
    pad_id: int,
    temperature: float,
) -> TokenScores:
    """Read the responses once with the policy and once with the reference, as training reads them.

    Args:
        policy: The policy that sampled.
        reference: The frozen policy.
        prompt_ids: N token lists; equal ones are read once where they meet in a forward pass.
        response_ids: N token lists, none empty.
        batch_size: Responses of a forward pass, so that all ranks run equally many.
        pad_id: Token on the right of shorter rows.
        temperature: The sampling temperature.

    Returns:
        Scores on the CPU in float32, 0 outside the mask.
    """
    num, width = len(prompt_ids), max(len(ids) for ids in response_ids)
    lengths = torch.tensor([len(ids) for ids in response_ids])
    mask = torch.arange(width) < lengths[:, None]
    scores = TokenScores(torch.zeros(num, width), torch.zeros(num, width), torch.zeros(num, width), mask)
    for first in range(0, num, batch_size):
        part = slice(first, first + batch_size)
        packed = pack_answers(prompt_ids[part], response_ids[part], pad_id=pad_id)
        found = _score_packed(policy, reference, packed, lengths[part].tolist(), temperature=temperature)
        for target, source in zip(scores[:3], found, strict=True):
            for i, (row, start) in enumerate(packed.places, start=first):
                target[i, : lengths[i]] = source[row, start : start + int(lengths[i])]
    return scores


def _score_packed(
    policy: Policy, reference: ReferencePolicy, packed: PackedAnswers, lengths: list[int], *, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Give [R, T] log-probabilities of policy and reference and values, at the positions that predict a token."""
    device, causal_lm = policy.causal_lm.device, policy.causal_lm
    chosen = torch.zeros_like(packed.input_ids, dtype=torch.bool)
    for (row, start), length in zip(packed.places, lengths, strict=True):
        chosen[row, start : start + length] = True
    tokens = packed.input_ids[:, 1:][chosen[:, :-1]].to(device)
    ids, positions, wanted = packed.input_ids.to(device), packed.position_ids.to(device), chosen.to(device)
    segments, branches = packed.segment_ids.to(device), packed.branch_ids.to(device)
    attended = packed_mask(segments, branches, flex=uses_flex_attention(causal_lm))

    def of_logits(logits: Tensor, part: slice) -> tuple[Tensor]:
        return (token_logprobs(logits, tokens[part], temperature=temperature),)

    (logprobs,), values = policy(ids, attended, positions, wanted, of_logits)
    (ref_logprobs,) = reference.of_logits(ids, attended, positions, wanted, of_logits)
    values = torch.zeros_like(logprobs) if values is None else values.float()

    def placed(numbers: Tensor) -> Tensor:
        return torch.zeros(chosen.shape).masked_scatter_(chosen, numbers.cpu())

    return placed(logprobs), placed(ref_logprobs), placed(values)


def build_samples(
    responses: Sequence[Response],
    scores: TokenScores,
    *,
    algorithm: AlgorithmConfig,
    critic: CriticConfig | None,
    kl: KLConfig,
    kl_coef: float,
    sum_over_ranks: SumOverRanks = alone,
) -> Collection:
    """Turn rewards into advantages and returns, decide what is trained, and measure.

    Args:
        responses: N of them, in the order of `scores`.
        scores: [N, L] each.
        algorithm: Estimator, whitening, and what is left out.
        critic: Of `gae`.
        kl: Where the divergence from the reference is paid for.
        kl_coef: Price of one nat.
        sum_over_ranks: Adds a tensor up over all ranks, for whitening and measuring over the whole iteration.

    Returns:
        N samples in the same order, those left out with a `loss_mask` that is False everywhere.
    """
    known = torch.tensor([response.reward is not None for response in responses])
    totals = torch.tensor([0.0 if response.reward is None else response.reward.total for response in responses])
    group_ids = torch.tensor([response.group for response in responses])
    uniform = uniform_groups(totals, known, group_ids)
    divergence = kl_estimate(scores.logprobs, scores.ref_logprobs, kl.estimator)
    rewards = token_rewards(totals, divergence, scores.mask, kl_coef=kl_coef if kl.place == "reward" else 0.0)
    advantages, returns = _advantages(rewards, scores, known, group_ids, algorithm, critic)
    kept = known.clone()
    if algorithm.drop_uniform_groups:
        kept &= ~uniform
    if algorithm.mask_truncated:
        kept &= torch.tensor([response.generated.finished for response in responses])
    loss_mask = scores.mask & kept[:, None]
    if algorithm.whiten:
        advantages = whiten(advantages, loss_mask, sums=sum_over_ranks(moment_sums(advantages, loss_mask)))
    samples = [
        RolloutSample(
            prompt_ids=torch.tensor(response.prompt_ids),
            response_ids=torch.tensor(response.generated.token_ids),
            loss_mask=loss_mask[i, :length],
            old_logprobs=scores.logprobs[i, :length],
            ref_logprobs=scores.ref_logprobs[i, :length],
            values=scores.values[i, :length],
            advantages=advantages[i, :length],
            returns=returns[i, :length],
        )
        for i, response in enumerate(responses)
        for length in (len(response.generated.token_ids),)
    ]
    sampled = _sampled_logprobs(responses, scores.logprobs)
    metrics = (
        response_metrics(responses, sum_over_ranks)
        | token_metrics(scores, sampled, None if critic is None else returns, known, sum_over_ranks)
        | share_metrics(uniform, kept, sum_over_ranks)
    )
    k1 = kl_k1(scores.logprobs, scores.ref_logprobs)
    kl_per_response = float(masked_mean((k1 * scores.mask).sum(1), known))
    return Collection(samples, metrics, kl_per_response, int(known.sum()), *_counts(responses))


def _advantages(
    rewards: Tensor,
    scores: TokenScores,
    known: Tensor,
    group_ids: Tensor,
    algorithm: AlgorithmConfig,
    critic: CriticConfig | None,
) -> tuple[Tensor, Tensor]:
    """Estimate advantages [N, L], and returns [N, L], which are 0 without a critic.

    The estimators that compare whole responses compare the sums of their token rewards.
    """
    if algorithm.estimator == "gae":
        assert critic is not None
        return generalized_advantages(
            rewards, scores.values, scores.mask, gamma=algorithm.gamma, gae_lambda=critic.gae_lambda
        )
    if algorithm.estimator == "reinforce_pp":
        return rewards_to_go(rewards, scores.mask, gamma=algorithm.gamma), torch.zeros_like(rewards)
    compare = {"grpo": group_relative, "rloo": leave_one_out}[algorithm.estimator]
    advantages = compare(rewards.sum(1), known, group_ids)
    return torch.where(scores.mask, advantages[:, None], 0.0), torch.zeros_like(rewards)


def _counts(responses: Sequence[Response]) -> tuple[Tensor, Tensor]:
    groups = torch.tensor([response.group for response in responses])
    judged = torch.tensor([response.outcome.status is not Status.INFRA for response in responses])
    passed = torch.tensor([response.outcome.passed for response in responses])
    size = int(groups.max()) + 1
    return torch.bincount(groups[judged], minlength=size), torch.bincount(groups[passed], minlength=size)


def _sampled_logprobs(responses: Sequence[Response], like: Tensor) -> Tensor:
    """Put the log-probabilities of sampling where `like` [N, L] has those of training, 0 elsewhere."""
    sampled = torch.zeros_like(like)
    for i, response in enumerate(responses):
        sampled[i, : len(response.generated.logprobs)] = torch.tensor(response.generated.logprobs)
    return sampled
