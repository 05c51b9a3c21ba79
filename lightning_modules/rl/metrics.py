"""What is measured on the responses of an iteration, by tag, over all ranks together: nothing here trains.

Ranks hold unequal numbers of responses with a reward and of tokens, so a mean is made of sums and counts that add up
over ranks. It is nan where nothing was counted on any rank. All ranks must call these functions alike.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields

import torch
from torch import Tensor

from executor.grading.rewards import RewardConfig
from executor.types import Status
from lightning_modules.rl.numerics import SumOverRanks, explained_variance, kl_k1, kl_k3, variance
from lightning_modules.rl.responses import Response, TokenScores

REWARD_PARTS = tuple(field.name.removesuffix("_coef") for field in fields(RewardConfig))
"""The same on every rank, also on one without a reward, for ranks must log the same tags."""
TotalAndCount = tuple[float, float]


def means_over_ranks(parts: Mapping[str, TotalAndCount], sum_over_ranks: SumOverRanks) -> dict[str, float]:
    """Divide the totals of all ranks by the counts of all ranks; ranks give the same tags in the same order."""
    sums = sum_over_ranks(torch.tensor(list(parts.values()), dtype=torch.float64)).tolist()
    return {tag: total / count if count else math.nan for tag, (total, count) in zip(parts, sums, strict=True)}


def response_metrics(responses: Sequence[Response], sum_over_ranks: SumOverRanks) -> dict[str, float]:
    """Measure rewards and their parts, verdicts and lengths. Unknown rewards are left out."""
    rewards = [response.reward for response in responses if response.reward is not None]
    totals = torch.tensor([reward.total for reward in rewards], dtype=torch.float64)
    statuses = Counter(response.outcome.status for response in responses)
    num, num_known = len(responses), len(rewards)
    parts = {
        "reward/mean": (float(totals.sum()), num_known),
        "reward/pass_rate": (statuses[Status.PASSED], num_known),
        **{f"reward/{name}": (sum(reward.parts[name] for reward in rewards), num_known) for name in REWARD_PARTS},
        **{f"rollout/status/{status}": (statuses[status], num) for status in Status if status is not Status.PASSED},
        "rollout/num_tokens": (sum(len(response.generated.token_ids) for response in responses), num),
        "rollout/prompt_tokens": (sum(len(response.prompt_ids) for response in responses), num),
        "rollout/finished": (sum(response.generated.finished for response in responses), num),
    }
    num_infra = sum_over_ranks(torch.tensor([statuses[Status.INFRA]], dtype=torch.float64))
    return means_over_ranks(parts, sum_over_ranks) | {
        "reward/std": float(variance(totals, sum_over_ranks).sqrt()),
        "rollout/num_infra": float(num_infra),
    }


def token_metrics(
    scores: TokenScores,
    sampled: Tensor,
    returns: Tensor | None,
    known: Tensor,
    sum_over_ranks: SumOverRanks,
) -> dict[str, float]:
    """Measure divergence from the reference, distance from the sampling distribution, and the critic.

    Args:
        scores: [N, L] each.
        sampled: [N, L] log-probabilities of sampling.
        returns: [N, L], None without a critic.
        known: [N] bool, True = has a reward.
        sum_over_ranks: adds a tensor up over all ranks.
    """
    known_tokens = scores.mask & known[:, None]
    parts = {
        "kl/k1": _total_and_count(kl_k1(scores.logprobs, scores.ref_logprobs), known_tokens),
        "kl/k3": _total_and_count(kl_k3(scores.logprobs, scores.ref_logprobs), known_tokens),
        "rollout/logprob_gap": _total_and_count((sampled - scores.logprobs).abs(), scores.mask),
    }
    if returns is None:
        return means_over_ranks(parts, sum_over_ranks)
    parts["value/mean"] = _total_and_count(scores.values, known_tokens)
    explained = explained_variance(scores.values, returns, known_tokens, sum_over_ranks)
    return means_over_ranks(parts, sum_over_ranks) | {"value/explained_variance": float(explained)}


def share_metrics(uniform: Tensor, kept: Tensor, sum_over_ranks: SumOverRanks) -> dict[str, float]:
    """Measure which share of the responses is in uniform groups, and which is trained on: [N] bool each."""
    parts = {
        "rollout/uniform_share": (float(uniform.sum()), len(uniform)),
        "rollout/trained_share": (float(kept.sum()), len(kept)),
    }
    return means_over_ranks(parts, sum_over_ranks)


def _total_and_count(values: Tensor, mask: Tensor) -> TotalAndCount:
    weights = mask.to(values.dtype)
    return float((values * weights).sum()), float(weights.sum())
