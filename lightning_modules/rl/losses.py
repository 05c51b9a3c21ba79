"""The clipped losses of PPO (Schulman et al. 2017, arXiv 1707.06347): pure functions on tensors.

Both are sums over the trained tokens divided by `num_tokens`, the number of trained tokens of the whole optimizer step
(all micro-batches, all ranks), so that splitting a minibatch changes nothing. Shapes: `B` samples, `T` tokens; a mask
is True where a token is trained.
"""

from typing import NamedTuple

import torch
from torch import Tensor

MAX_LOG_RATIO = 20.0
"""Log-ratios are clamped here before exp: e^20 is far outside any clip range, and finite."""


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
    """Clipped surrogate, equation 7 of the paper, with a bound of its own on each side (DAPO, arXiv 2503.14476).

    Args:
        new_logprobs: [B, T] under the policy being trained.
        old_logprobs: [B, T] under the policy that sampled.
        advantages: [B, T].
        mask: [B, T] bool.
        clip_ratio_low: The ratio is held above 1 - clip_ratio_low.
        clip_ratio_high: The ratio is held below 1 + clip_ratio_high.
        num_tokens: Scalar to divide by.

    Returns:
        Loss, and `ratio`, `clip_fraction` (tokens whose gradient is cut), `approx_kl` (k3 of old against new).
    """
    log_ratio = (new_logprobs - old_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    ratio = log_ratio.exp()
    unclipped = -advantages * ratio
    clipped = -advantages * ratio.clamp(1.0 - clip_ratio_low, 1.0 + clip_ratio_high)
    loss = _token_mean(torch.maximum(unclipped, clipped), mask, num_tokens)
    with torch.no_grad():
        metrics = {
            "ratio": _token_mean(ratio, mask, num_tokens),
            "clip_fraction": _token_mean((clipped > unclipped).float(), mask, num_tokens),
            "approx_kl": _token_mean(ratio - 1.0 - log_ratio, mask, num_tokens),
        }
    return LossAndMetrics(loss, metrics)


def ppo_value_loss(
    new_values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    *,
    clip: float | None,
    num_tokens: Tensor,
) -> LossAndMetrics:
    """Half the squared error of the critic, the larger of the plain one and the one of a value held near the old.

    Args:
        new_values: [B, T] of the critic being trained.
        old_values: [B, T] at sampling.
        returns: [B, T] targets.
        mask: [B, T] bool.
        clip: The value is held within this distance of the old one; None does not hold it.
        num_tokens: Scalar to divide by.

    Returns:
        Loss, and `clip_fraction` (tokens whose gradient is cut).
    """
    error = (new_values - returns).square()
    if clip is None:
        return LossAndMetrics(
            0.5 * _token_mean(error, mask, num_tokens), {"clip_fraction": torch.zeros_like(num_tokens)}
        )
    held = old_values + (new_values - old_values).clamp(-clip, clip)
    held_error = (held - returns).square()
    loss = 0.5 * _token_mean(torch.maximum(error, held_error), mask, num_tokens)
    with torch.no_grad():
        cut = _token_mean((held_error > error).float(), mask, num_tokens)
    return LossAndMetrics(loss, {"clip_fraction": cut})


def _token_mean(values: Tensor, mask: Tensor, num_tokens: Tensor) -> Tensor:
    """[B, T] -> scalar; `where` and not a product, so that nothing outside the mask gets a gradient, not even NaN."""
    return torch.where(mask, values, torch.zeros_like(values)).sum() / num_tokens
