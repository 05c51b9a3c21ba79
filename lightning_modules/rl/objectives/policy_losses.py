"""Losses of the policy for one minibatch: PPO, GSPO and CISPO, pure functions on tensors.

They differ in the probability ratio, and in what its clipping does to the gradient. All are sums over tokens divided by
`num_tokens`, and homogeneous in the advantages: a factor on the advantages of a token is its weight in the loss, which
is how `lightning_modules.rl.rollouts.minibatches` aggregates tokens and
`lightning_modules.rl.objectives.rollout_correction` weighs them.

Shapes: any, the same for all arguments; a mask is True where a token is trained.
"""

from typing import NamedTuple

import torch
from torch import Tensor

MAX_LOG_RATIO = 20.0
"""Log-ratios are clamped to this before exp: e^20 is far outside any clip range, and finite."""


class LossAndMetrics(NamedTuple):
    """A loss with its graph, and detached scalars that are sums over tokens divided by `num_tokens`."""

    loss: Tensor
    metrics: dict[str, Tensor]


def ppo_policy_loss(
    new_logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_ratio_low: float,
    clip_ratio_high: float,
    num_tokens: Tensor,
) -> LossAndMetrics:
    """Compute the clipped surrogate of PPO (Schulman et al. 2017, arXiv 1707.06347, equation 7).

    The clip ratios are separate (DAPO, arXiv 2503.14476).

    Args:
        new_logprobs: [B, T] under the policy being trained.
        old_logprobs: [B, T] under the policy that sampled.
        advantages: [B, T].
        mask: [B, T] bool.
        clip_ratio_low: The ratio is clipped below at 1 - clip_ratio_low.
        clip_ratio_high: The ratio is clipped above at 1 + clip_ratio_high.
        num_tokens: Scalar to divide by.

    Returns:
        Loss, and `ratio`, `clip_frac` (tokens whose gradient is zero because of clipping) and `approx_kl` (k3).
    """
    log_ratio = (new_logprobs - old_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    losses, is_clipped = _clipped_surrogate(log_ratio.exp(), advantages, clip_ratio_low, clip_ratio_high)
    return _reduce(losses, is_clipped, log_ratio, mask, num_tokens)


def gspo_policy_loss(
    new_logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    completion_ids: Tensor,
    clip_ratio_low: float,
    clip_ratio_high: float,
    num_tokens: Tensor,
) -> LossAndMetrics:
    """Compute the clipped surrogate with the ratio of the completion (GSPO-token, arXiv 2507.18071, equations 13, 14).

    The ratio of a completion is the geometric mean of the ratios of its tokens (equation 7), so clip ratios are a
    hundred times smaller than those of PPO. Where all tokens of a completion have the same advantage, the gradient is
    that of GSPO (equation 5).

    Args:
        new_logprobs: Under the policy being trained.
        old_logprobs: Under the policy that sampled.
        advantages: Of the tokens.
        mask: bool.
        completion_ids: long, from 0, equal for the tokens of a completion.
        clip_ratio_low: The ratio is clipped below at 1 - clip_ratio_low.
        clip_ratio_high: The ratio is clipped above at 1 + clip_ratio_high.
        num_tokens: Scalar to divide by.

    Returns:
        As `ppo_policy_loss`; `approx_kl` is that of the tokens.
    """
    log_ratio = (new_logprobs - old_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    with torch.no_grad():
        ids, inside = completion_ids.flatten(), mask.flatten().to(log_ratio.dtype)
        sums = log_ratio.new_zeros(int(ids.max()) + 1 if len(ids) else 0)
        total = sums.index_add(0, ids, torch.where(mask, log_ratio, 0.0).flatten())
        of_completion = (total / sums.index_add(0, ids, inside).clamp(min=1))[completion_ids]
    ratio = (of_completion + new_logprobs - new_logprobs.detach()).exp()
    losses, is_clipped = _clipped_surrogate(ratio, advantages, clip_ratio_low, clip_ratio_high)
    return _reduce(losses, is_clipped, log_ratio, mask, num_tokens)


def cispo_policy_loss(
    new_logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_ratio_low: float,
    clip_ratio_high: float,
    num_tokens: Tensor,
) -> LossAndMetrics:
    """Compute the policy gradient weighted by the clipped ratio (CISPO, MiniMax-M1, arXiv 2506.13585, equations 4, 5).

    The ratio has no gradient, so a clipped token still has one. Arguments and results as for `ppo_policy_loss`, except
    that `clip_frac` is the fraction of tokens whose weight was clipped.
    """
    log_ratio = (new_logprobs - old_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    ratio = log_ratio.detach().exp()
    weight = ratio.clamp(1.0 - clip_ratio_low, 1.0 + clip_ratio_high)
    return _reduce(-weight * advantages * new_logprobs, weight != ratio, log_ratio, mask, num_tokens)


def sum_tokens(values: Tensor, mask: Tensor, num_tokens: Tensor) -> Tensor:
    """Sum where `mask` is True, divided by `num_tokens`; `where`, so that NaN outside the mask has no gradient."""
    return torch.where(mask, values, torch.zeros_like(values)).sum() / num_tokens


def _clipped_surrogate(ratio: Tensor, advantages: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Return the negated surrogate of each token, and where its gradient is zero because of clipping."""
    unclipped = -advantages * ratio
    clipped = -advantages * ratio.clamp(1.0 - low, 1.0 + high)
    return torch.maximum(unclipped, clipped), clipped > unclipped


def _reduce(losses: Tensor, is_clipped: Tensor, log_ratio: Tensor, mask: Tensor, num_tokens: Tensor) -> LossAndMetrics:
    loss = sum_tokens(losses, mask, num_tokens)
    with torch.no_grad():
        ratio = log_ratio.exp()
        metrics = {
            "ratio": sum_tokens(ratio, mask, num_tokens),
            "clip_frac": sum_tokens(is_clipped.float(), mask, num_tokens),
            "approx_kl": sum_tokens(ratio - 1.0 - log_ratio, mask, num_tokens),
        }
    return LossAndMetrics(loss, metrics)
