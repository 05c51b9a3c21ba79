"""From rewards of responses to advantages and returns of tokens: pure functions on tensors.

Shapes: `B` responses padded on the right to `L` tokens; `mask` is True on the tokens of a response.
"""

import torch
from torch import Tensor


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, *, kl_coef: float) -> Tensor:
    """Reward of each token: the price of leaving the reference, and the response's reward on its last token.

    Equation 2 of Ziegler et al. 2019 (arXiv 1909.08593), the penalty given out token by token.

    Args:
        scores: [B] reward of each response.
        kl: [B, L] k1 estimate of the divergence from the reference at each token.
        mask: [B, L] bool.
        kl_coef: Price of one nat.

    Returns:
        [B, L], 0 outside the mask.
    """
    rewards = torch.where(mask, -kl_coef * kl, torch.zeros_like(kl))
    last = mask.sum(1) - 1
    rows = torch.arange(len(scores), device=scores.device)
    rewards[rows, last] += scores.to(rewards.dtype)
    return rewards


def generalized_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """GAE (Schulman et al. 2015, arXiv 1506.02438, equation 16); the value after the last token is 0.

    Args:
        rewards: [B, L].
        values: [B, L] value of the state each token was chosen in.
        mask: [B, L] bool.
        gamma: Discount of one token.
        gae_lambda: 0 gives one-step errors, 1 gives returns minus values.

    Returns:
        Advantages [B, L] and returns (advantages + values) [B, L], both 0 outside the mask.
    """
    inside = mask.to(values.dtype)
    values = values * inside
    advantages = torch.zeros_like(values)
    following = torch.zeros_like(values[:, 0])
    next_value = torch.zeros_like(values[:, 0])
    for t in range(values.shape[1] - 1, -1, -1):
        error = rewards[:, t] + gamma * next_value - values[:, t]
        following = (error + gamma * gae_lambda * following) * inside[:, t]
        advantages[:, t] = following
        next_value = values[:, t]
    return advantages, advantages + values


def uniform_groups(scores: Tensor, known: Tensor, group_ids: Tensor) -> Tensor:
    """Mark the samples of groups whose rewards are all the same: such a group says nothing about what is better.

    Args:
        scores: [B] rewards.
        known: [B] bool, False where the reward is unknown; such samples are left out of the comparison.
        group_ids: [B] long, equal for the samples of one prompt, 0 .. G - 1.

    Returns:
        [B] bool, True = belongs to a uniform group.
    """
    num_groups = int(group_ids.max()) + 1
    infinity = torch.full((num_groups,), torch.inf, dtype=scores.dtype, device=scores.device)
    lowest = infinity.scatter_reduce(0, group_ids, torch.where(known, scores, torch.inf), "amin")
    highest = (-infinity).scatter_reduce(0, group_ids, torch.where(known, scores, -torch.inf), "amax")
    return (highest - lowest <= 0)[group_ids]
