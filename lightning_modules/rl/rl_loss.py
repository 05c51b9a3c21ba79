"""The whole loss of reinforcement learning on a packed minibatch: clipped policy, clipped critic, entropy, divergence.

The parts are in `losses`; nothing here steps an optimizer or decides to stop.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.batches import RolloutBatch
from lightning_modules.models.compute import uses_flex_attention
from lightning_modules.models.policy import Policy
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig
from lightning_modules.rl.kl_control import KLConfig
from lightning_modules.rl.losses import ppo_policy_loss, ppo_value_loss
from lightning_modules.rl.numerics import kl_estimate, token_entropy, token_logprobs
from lightning_modules.training.packed_loss import packed_mask


class MinibatchLoss(NamedTuple):
    """The loss, a scalar with gradients, and what was measured on the way, scalars without.

    All are sums over the tokens of this minibatch, divided by `num_tokens`: where that is the share of an optimizer
    step's tokens which falls to each part and rank, their means over parts and ranks are means over the step's tokens.
    """

    loss: Tensor
    approx_kl: Tensor
    """Distance from the policy that sampled (k3), nats."""
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
    """Read a minibatch and make its loss.

    Args:
        policy: is trained.
        batch: R packed rows.
        algorithm: clips and weights.
        critic: of the policy, None where it has none.
        kl: where the divergence from the reference is paid for.
        kl_coef: the present price of one nat.
        temperature: of sampling.
        num_tokens: scalar that sums over tokens are divided by.
    """
    trained = batch.loss_mask
    chosen = torch.nn.functional.pad(trained, (0, 1))
    mask = packed_mask(batch.segment_ids, batch.branch_ids, flex=uses_flex_attention(policy.causal_lm))
    tokens = batch.input_ids[:, 1:][trained]
    every = torch.ones_like(tokens, dtype=torch.bool)

    def of_logits(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        with torch.set_grad_enabled(algorithm.entropy_coef > 0 and torch.is_grad_enabled()):
            entropies = token_entropy(logits, temperature=temperature)
        return token_logprobs(logits, tokens[part], temperature=temperature), entropies

    (new_logprobs, entropies), values = policy(batch.input_ids, mask, batch.position_ids, chosen, of_logits)
    policy_part = ppo_policy_loss(
        new_logprobs,
        batch.old_logprobs[trained],
        batch.advantages[trained],
        every,
        clip_ratio_low=algorithm.clip_ratio_low,
        clip_ratio_high=algorithm.clip_ratio_high,
        num_tokens=num_tokens,
    )
    entropy = entropies.sum() / num_tokens
    metrics = {
        "policy/loss": policy_part.loss.detach(),
        "policy/approx_kl": policy_part.metrics["approx_kl"],
        "policy/clip_frac": policy_part.metrics["clip_fraction"],
        "policy/entropy": entropy.detach(),
    }
    loss = policy_part.loss - algorithm.entropy_coef * entropy
    if kl.apply_to == "loss":
        divergence = kl_estimate(new_logprobs, batch.ref_logprobs[trained], kl.estimator).sum() / num_tokens
        metrics["kl/loss"] = divergence.detach()
        loss = loss + kl_coef * divergence
    if critic is not None:
        assert values is not None
        value_part = ppo_value_loss(
            values.float(),
            batch.values[trained],
            batch.returns[trained],
            every,
            clip=critic.clip,
            num_tokens=num_tokens,
        )
        metrics["value/loss"] = value_part.loss.detach()
        metrics["value/clip_frac"] = value_part.metrics["clip_fraction"]
        loss = loss + critic.coef * value_part.loss
    return MinibatchLoss(loss, policy_part.metrics["approx_kl"], policy_part.metrics["ratio"], metrics)
