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
        kl: [B, L] estimate of the divergence from the reference at each token.
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


def rewards_to_go(rewards: Tensor, mask: Tensor, *, gamma: float) -> Tensor:
    """Discounted sum of a token's reward and of those after it (REINFORCE++, arXiv 2501.03262, equation 9).

    Args:
        rewards: [B, L].
        mask: [B, L] bool.
        gamma: Discount of one token.

    Returns:
        [B, L], 0 outside the mask.
    """
    inside = mask.to(rewards.dtype)
    sums = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])
    for t in range(rewards.shape[1] - 1, -1, -1):
        following = (rewards[:, t] + gamma * following) * inside[:, t]
        sums[:, t] = following
    return sums


def group_relative(scores: Tensor, known: Tensor, group_ids: Tensor, *, eps: float = 1e-4) -> Tensor:
    """Reward minus the mean of its group, over the group's standard deviation (GRPO, arXiv 2402.03300, section 4.1.2).

    Args:
        scores: [B] rewards.
        known: [B] bool, False where the reward is unknown; such samples take no part.
        group_ids: [B] long, equal for the samples of one prompt, 0 .. G - 1.
        eps: Added to the standard deviation, which is that of the sample (n - 1), as in the authors' code.

    Returns:
        [B], 0 where the reward is unknown or the group has no second one.
    """
    count, mean = _group_means(scores, known, group_ids)
    centred = torch.where(known, scores - mean[group_ids], 0.0)
    squares = torch.zeros_like(mean).index_add_(0, group_ids, centred.square())
    deviation = (squares / (count - 1).clamp(min=1)).sqrt()
    return torch.where(count[group_ids] > 1, centred / (deviation[group_ids] + eps), 0.0)


def leave_one_out(scores: Tensor, known: Tensor, group_ids: Tensor) -> Tensor:
    """Reward minus the mean of the others of its group (RLOO, arXiv 2402.14740, equation 6); arguments as above.

    Returns:
        [B], 0 where the reward is unknown or the group has no second one.
    """
    count, mean = _group_means(scores, known, group_ids)
    # r - (n m - r) / (n - 1) = (r - m) n / (n - 1)
    factor = count / (count - 1).clamp(min=1)
    alone = ~known | (count[group_ids] < 2)
    return torch.where(alone, 0.0, (scores - mean[group_ids]) * factor[group_ids])


def _group_means(scores: Tensor, known: Tensor, group_ids: Tensor) -> tuple[Tensor, Tensor]:
    """[G] known samples of each group, and [G] the mean of their rewards, 0 of none."""
    empty = torch.zeros(int(group_ids.max()) + 1, dtype=scores.dtype, device=scores.device)
    count = empty.index_add(0, group_ids, known.to(scores.dtype))
    total = empty.index_add(0, group_ids, torch.where(known, scores, 0.0))
    return count, total / count.clamp(min=1)


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
