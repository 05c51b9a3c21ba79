"""The loss of reinforcement learning: policy loss, clipped value loss, entropy bonus and KL penalty.

`lightning_modules.rl.objectives.policy_losses` has the policy losses. All are sums over the trained tokens divided by
`num_tokens`, the number of trained tokens of the whole optimizer step (all micro-batches, all ranks), so that the
result does not depend on how a minibatch is split. Shapes: `B` completions, `T` tokens; a mask is True where a token is
trained.
"""

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.batches import RolloutBatch
from lightning_modules.models.forward.compute import uses_flex_attention
from lightning_modules.models.forward.packed_forward import packed_forward
from lightning_modules.models.policy import Policy
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig
from lightning_modules.rl.objectives.kl import kl_estimate
from lightning_modules.rl.objectives.numerics import token_entropy, token_logprobs
from lightning_modules.rl.objectives.policy_losses import (
    LossAndMetrics,
    cispo_policy_loss,
    gspo_policy_loss,
    ppo_policy_loss,
    sum_tokens,
)


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
    entropy_coef: float,
    temperature: float,
    num_tokens: Tensor,
) -> MinibatchLoss:
    """Run the policy over a micro-batch and compute its loss, which has the value loss if the trunk is shared.

    Args:
        policy: Policy that is trained.
        batch: R packed rows.
        algorithm: Policy loss and clip ratios.
        critic: Of the policy; None without one.
        kl: Whether the KL penalty is part of the loss.
        kl_coef: Current KL coefficient.
        entropy_coef: Current weight of the entropy bonus.
        temperature: Of sampling.
        num_tokens: Scalar that sums over tokens are divided by.
    """
    trained = batch.loss_mask

    def logits_fn(logits: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        with torch.set_grad_enabled(entropy_coef > 0 and torch.is_grad_enabled()):
            entropies = token_entropy(logits, temperature=temperature)
        return token_logprobs(logits, tokens, temperature=temperature), entropies

    shared = critic if critic is not None and critic.trunk == "shared" else None
    forward = functools.partial(policy, heads="policy" if shared is None else "both")
    flex = uses_flex_attention(policy.causal_lm)
    (new_logprobs, entropies), values = packed_forward(forward, batch, trained, logits_fn, flex=flex)
    old_logprobs = new_logprobs.detach() if batch.old_logprobs is None else batch.old_logprobs[trained]
    clip = {"clip_ratio_low": algorithm.clip_ratio_low, "clip_ratio_high": algorithm.clip_ratio_high}
    arguments = new_logprobs, old_logprobs, batch.advantages[trained], torch.ones_like(trained[trained])
    if algorithm.policy_loss == "gspo":
        ids = number_completions(batch)[trained]
        policy_loss = gspo_policy_loss(*arguments, completion_ids=ids, **clip, num_tokens=num_tokens)
    else:
        function = {"ppo": ppo_policy_loss, "cispo": cispo_policy_loss}[algorithm.policy_loss]
        policy_loss = function(*arguments, **clip, num_tokens=num_tokens)
    entropy = entropies.sum() / num_tokens
    metrics = {
        "policy/loss": policy_loss.loss.detach(),
        "policy/approx_kl": policy_loss.metrics["approx_kl"],
        "policy/clip_frac": policy_loss.metrics["clip_frac"],
        "policy/entropy": entropy.detach(),
    }
    loss = policy_loss.loss - entropy_coef * entropy
    if kl.apply_to == "loss":
        penalty = kl_estimate(new_logprobs, batch.ref_logprobs[trained], kl.estimator).sum() / num_tokens
        metrics["kl/loss"] = penalty.detach()
        loss = loss + kl_coef * penalty
    if shared is not None:
        assert values is not None
        loss = loss + shared.coef * _normalized_value_loss(policy, values, batch, shared, num_tokens).loss
    return MinibatchLoss(loss, policy_loss.metrics["approx_kl"], policy_loss.metrics["ratio"], metrics)


def critic_loss(policy: Policy, batch: RolloutBatch, critic: CriticConfig, *, num_tokens: Tensor) -> LossAndMetrics:
    """Run the critic over a micro-batch and compute its loss; arguments as for `rl_loss`."""
    forward, flex = functools.partial(policy, heads="critic"), uses_flex_attention(policy.causal_lm)
    _, values = packed_forward(forward, batch, batch.loss_mask, None, flex=flex)
    return _normalized_value_loss(policy, values, batch, critic, num_tokens)


def _normalized_value_loss(
    policy: Policy, values: Tensor, batch: RolloutBatch, critic: CriticConfig, num_tokens: Tensor
) -> LossAndMetrics:
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


def number_completions(batch: RolloutBatch) -> Tensor:
    """Assign a number to each completion of a micro-batch: [R, T-1] long, equal for the predictions of its tokens."""
    segments, branches = batch.segment_ids[:, 1:], batch.branch_ids[:, 1:]
    rows = torch.arange(len(segments), device=segments.device)[:, None].expand_as(segments)
    names = torch.stack([rows, segments, branches], -1).flatten(0, 1)
    return torch.unique(names, dim=0, return_inverse=True)[1].view(segments.shape)


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
        return LossAndMetrics(0.5 * sum_tokens(error, mask, num_tokens), {"clip_frac": torch.zeros_like(num_tokens)})
    clipped = old_values + (new_values - old_values).clamp(-clip, clip)
    clipped_error = (clipped - returns).square()
    loss = 0.5 * sum_tokens(torch.maximum(error, clipped_error), mask, num_tokens)
    with torch.no_grad():
        clip_frac = sum_tokens((clipped_error > error).float(), mask, num_tokens)
    return LossAndMetrics(loss, {"clip_frac": clip_frac})
