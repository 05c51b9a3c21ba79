"""The loss of reinforcement learning: clipped policy loss, clipped value loss, entropy bonus and KL penalty.

The clipped losses are those of PPO (Schulman et al. 2017, arXiv 1707.06347). All are sums over the trained tokens
divided by `num_tokens`, the number of trained tokens of the whole optimizer step (all micro-batches, all ranks), so
that the result does not depend on how a minibatch is split. Shapes: `B` completions, `T` tokens; a mask is True where a
token is trained.
"""

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.batches import RolloutBatch
from lightning_modules.models.compute import uses_flex_attention
from lightning_modules.models.packed_forward import packed_forward
from lightning_modules.models.policy import Policy
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig
from lightning_modules.rl.kl import kl_estimate
from lightning_modules.rl.numerics import token_entropy, token_logprobs

MAX_LOG_RATIO = 20.0
"""Log-ratios are clamped to this before exp: e^20 is far outside any clip range, and finite."""


class MinibatchLoss(NamedTuple):
    """The loss of a micro-batch, a scalar with gradients, and detached scalars.

    All are sums over the trained tokens of the micro-batch divided by `num_tokens`. If that is the share of the
    optimizer step's tokens that falls to each micro-batch and rank, means over micro-batches and ranks are means over
    the tokens of the step.
    """

    loss: Tensor
    approx_kl: Tensor
    """KL from the policy that sampled (k3), nats per token."""
    ratio: Tensor
    """Probability ratio to the policy that sampled."""
    metrics: dict[str, Tensor]
    """By tag."""


def rl_loss(
    policy: Policy,
    batch: RolloutBatch,
    algorithm: AlgorithmConfig,
    critic: CriticConfig | None,
    kl: KLConfig,
    *,
    kl_coef: float,
    temperature: float,
    num_tokens: Tensor,
) -> MinibatchLoss:
    """Run the policy over a micro-batch and compute its loss, which has the value loss if the trunk is shared.

    Args:
        policy: Policy that is trained.
        batch: R packed rows.
        algorithm: Clip ratios and entropy coefficient.
        critic: Of the policy; None without one.
        kl: Whether the KL penalty is part of the loss.
        kl_coef: Current KL coefficient.
        temperature: Of sampling.
        num_tokens: Scalar that sums over tokens are divided by.
    """
    trained = batch.loss_mask

    def logits_fn(logits: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        with torch.set_grad_enabled(algorithm.entropy_coef > 0 and torch.is_grad_enabled()):
            entropies = token_entropy(logits, temperature=temperature)
        return token_logprobs(logits, tokens, temperature=temperature), entropies

    shared = critic if critic is not None and critic.trunk == "shared" else None
    forward = functools.partial(policy, heads="policy" if shared is None else "both")
    flex = uses_flex_attention(policy.causal_lm)
    (new_logprobs, entropies), values = packed_forward(forward, batch, trained, logits_fn, flex=flex)
    mask = torch.ones_like(new_logprobs, dtype=torch.bool)
    policy_loss = ppo_policy_loss(
        new_logprobs,
        new_logprobs.detach() if batch.old_logprobs is None else batch.old_logprobs[trained],
        batch.advantages[trained],
        mask,
        clip_ratio_low=algorithm.clip_ratio_low,
        clip_ratio_high=algorithm.clip_ratio_high,
        num_tokens=num_tokens,
    )
    entropy = entropies.sum() / num_tokens
    metrics = {
        "policy/loss": policy_loss.loss.detach(),
        "policy/approx_kl": policy_loss.metrics["approx_kl"],
        "policy/clip_frac": policy_loss.metrics["clip_frac"],
        "policy/entropy": entropy.detach(),
    }
    loss = policy_loss.loss - algorithm.entropy_coef * entropy
    if kl.apply_to == "loss":
        penalty = kl_estimate(new_logprobs, batch.ref_logprobs[trained], kl.estimator).sum() / num_tokens
        metrics["kl/loss"] = penalty.detach()
        loss = loss + kl_coef * penalty
    if shared is not None:
        assert values is not None
        loss = loss + shared.coef * _normalized_value_loss(policy, values, batch, shared, num_tokens).loss
    return MinibatchLoss(loss, policy_loss.metrics["approx_kl"], policy_loss.metrics["ratio"], metrics)


def critic_loss(policy: Policy, batch: RolloutBatch, critic: CriticConfig, *, num_tokens: Tensor) -> "LossAndMetrics":
    """Run the critic over a micro-batch and compute its loss; arguments as for `rl_loss`."""
    forward, flex = functools.partial(policy, heads="critic"), uses_flex_attention(policy.causal_lm)
    _, values = packed_forward(forward, batch, batch.loss_mask, None, flex=flex)
    return _normalized_value_loss(policy, values, batch, critic, num_tokens)


def _normalized_value_loss(
    policy: Policy, values: Tensor, batch: RolloutBatch, critic: CriticConfig, num_tokens: Tensor
) -> "LossAndMetrics":
    """Compute the value loss in standard deviations of returns."""
    std, trained = policy.return_std, batch.loss_mask
    mask = torch.ones_like(values, dtype=torch.bool)
    return ppo_value_loss(
        values.float() / std,
        batch.values[trained] / std,
        batch.returns[trained] / std,
        mask,
        clip=critic.clip,
        num_tokens=num_tokens,
    )


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
    """Compute the clipped surrogate, equation 7 of the paper, with separate clip ratios (DAPO, arXiv 2503.14476).

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
    ratio = log_ratio.exp()
    unclipped = -advantages * ratio
    clipped = -advantages * ratio.clamp(1.0 - clip_ratio_low, 1.0 + clip_ratio_high)
    loss = _token_mean(torch.maximum(unclipped, clipped), mask, num_tokens)
    with torch.no_grad():
        metrics = {
            "ratio": _token_mean(ratio, mask, num_tokens),
            "clip_frac": _token_mean((clipped > unclipped).float(), mask, num_tokens),
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
    """Half the squared error of the critic, the larger of the plain one and the one of a value clipped near the old.

    Args:
        new_values: [B, T] of the critic being trained.
        old_values: [B, T] at sampling.
        returns: [B, T] targets.
        mask: [B, T] bool.
        clip: Values are clipped to this distance from the old value; None = no clipping.
        num_tokens: Scalar to divide by.

    Returns:
        Loss, and `clip_frac` (tokens whose gradient is zero because of clipping).
    """
    error = (new_values - returns).square()
    if clip is None:
        return LossAndMetrics(0.5 * _token_mean(error, mask, num_tokens), {"clip_frac": torch.zeros_like(num_tokens)})
    clipped = old_values + (new_values - old_values).clamp(-clip, clip)
    clipped_error = (clipped - returns).square()
    loss = 0.5 * _token_mean(torch.maximum(error, clipped_error), mask, num_tokens)
    with torch.no_grad():
        clip_frac = _token_mean((clipped_error > error).float(), mask, num_tokens)
    return LossAndMetrics(loss, {"clip_frac": clip_frac})


def _token_mean(values: Tensor, mask: Tensor, num_tokens: Tensor) -> Tensor:
    """[B, T] -> scalar; `where` instead of a product, so that NaN outside the mask has no effect on the gradient."""
    return torch.where(mask, values, torch.zeros_like(values)).sum() / num_tokens
