"""Advantages and returns of tokens from rewards of completions: pure functions on tensors.

Shapes: `B` completions padded on the right to `L` tokens; `mask` is True on the tokens of a completion.
"""

import torch
from torch import Tensor

from lightning_modules.rl.config import AlgorithmConfig, CriticConfig
from lightning_modules.rl.rollouts.records import TokenLogprobs


def estimate_advantages(
    rewards: Tensor,
    logprobs: TokenLogprobs,
    known: Tensor,
    group_ids: Tensor,
    algorithm: AlgorithmConfig,
    critic: CriticConfig | None,
) -> tuple[Tensor, Tensor]:
    """Estimate advantages by the estimator of `algorithm`.

    Estimators that compare whole completions compare the sums of their token rewards.

    Args:
        rewards: [B, L] of tokens.
        logprobs: Values and mask, [B, L] each.
        known: [B] bool, True if the completion has a reward.
        group_ids: [B] long, the prompt of each completion.
        algorithm: Estimator and discount.
        critic: Of `gae`.

    Returns:
        Advantages [B, L], and returns [B, L], which are 0 without a critic. The returns are rewards-to-go for any
        `gae_lambda`, as in VC-PPO (arXiv 2503.01491): the critic's targets do not depend on its own values.
    """
    mask, gamma = logprobs.mask, algorithm.gamma
    if algorithm.estimator == "gae":
        assert critic is not None
        advantages = generalized_advantages(rewards, logprobs.values, mask, gamma=gamma, gae_lambda=critic.gae_lambda)
        return advantages, rewards_to_go(rewards, mask, gamma=gamma)
    if algorithm.estimator == "reinforce_pp":
        return rewards_to_go(rewards, mask, gamma=gamma), torch.zeros_like(rewards)
    compare = {"grpo": group_relative, "dr_grpo": group_centered, "rloo": leave_one_out}[algorithm.estimator]
    advantages = compare(rewards.sum(1), known, group_ids)
    return torch.where(mask, advantages[:, None], 0.0), torch.zeros_like(rewards)


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, *, kl_coef: float) -> Tensor:
    """Distribute rewards to tokens: the KL penalty of each token, and the completion's reward on its last token.

    Equation 2 of Ziegler et al. 2019 (arXiv 1909.08593), with the penalty per token.

    Args:
        scores: [B] reward of each completion.
        kl: [B, L] KL estimate of each token.
        mask: [B, L] bool.
        kl_coef: KL coefficient.

    Returns:
        [B, L], 0 outside the mask.
    """
    rewards = torch.where(mask, -kl_coef * kl, torch.zeros_like(kl))
    last = mask.sum(1) - 1
    rows = torch.arange(len(scores), device=scores.device)
    rewards[rows, last] += scores.to(rewards.dtype)
    return rewards


def overlong_penalties(lengths: Tensor, max_length: int, buffer: int) -> Tensor:
    """Return the soft overlong punishment of completions (DAPO, arXiv 2503.14476, equation 13), negated.

    Args:
        lengths: [B] tokens.
        max_length: Tokens at which completions are truncated.
        buffer: Tokens before `max_length` over which the penalty rises from 0 to 1; 0 = no penalty.

    Returns:
        [B].
    """
    if buffer == 0:
        return torch.zeros(lengths.shape)
    return ((lengths - (max_length - buffer)) / buffer).clamp(0.0, 1.0)


def generalized_advantages(rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float, gae_lambda: float) -> Tensor:
    """Compute GAE (Schulman et al. 2015, arXiv 1506.02438, equation 16); the value after the last token is 0.

    Args:
        rewards: [B, L].
        values: [B, L] value of the state before each token.
        mask: [B, L] bool.
        gamma: Discount of one token.
        gae_lambda: 0 gives one-step errors, 1 gives returns minus values.

    Returns:
        [B, L], 0 outside the mask.
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
    return advantages


def rewards_to_go(rewards: Tensor, mask: Tensor, *, gamma: float) -> Tensor:
    """Sum the discounted rewards of a token and of those after it (REINFORCE++, arXiv 2501.03262, equation 9).

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
    """Return (reward - mean of the group) / standard deviation of the group (GRPO, arXiv 2402.03300, section 4.1.2).

    Args:
        scores: [B] rewards.
        known: [B] bool, False if the reward is unknown; such completions are ignored.
        group_ids: [B] long, equal for the completions of one prompt, 0 .. G - 1.
        eps: Added to the standard deviation, which divides by n - 1, as in the authors' code.

    Returns:
        [B], 0 if the reward is unknown or the only known one of its group.
    """
    count, _ = _group_means(scores, known, group_ids)
    centered = group_centered(scores, known, group_ids)
    squares = torch.zeros_like(count).index_add_(0, group_ids, centered.square())
    deviation = (squares / (count - 1).clamp(min=1)).sqrt()
    return torch.where(count[group_ids] > 1, centered / (deviation[group_ids] + eps), 0.0)


def group_centered(scores: Tensor, known: Tensor, group_ids: Tensor) -> Tensor:
    """Return reward - mean of the group (Dr. GRPO, arXiv 2503.20783, section 3.3); arguments as above.

    Returns:
        [B], 0 if the reward is unknown.
    """
    _, mean = _group_means(scores, known, group_ids)
    return torch.where(known, scores - mean[group_ids], 0.0)


def leave_one_out(scores: Tensor, known: Tensor, group_ids: Tensor) -> Tensor:
    """Return reward - mean of the others of the group (RLOO, arXiv 2402.14740, equation 6); arguments as above.

    Returns:
        [B], 0 if the reward is unknown or the only known one of its group.
    """
    count, mean = _group_means(scores, known, group_ids)
    # r - (n m - r) / (n - 1) = (r - m) n / (n - 1)
    factor = count / (count - 1).clamp(min=1)
    excluded = ~known | (count[group_ids] < 2)
    return torch.where(excluded, 0.0, (scores - mean[group_ids]) * factor[group_ids])


def _group_means(scores: Tensor, known: Tensor, group_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return [G] number of known rewards of each group, and [G] their mean, 0 if there are none."""
    empty = torch.zeros(int(group_ids.max()) + 1, dtype=scores.dtype, device=scores.device)
    count = empty.index_add(0, group_ids, known.to(scores.dtype))
    total = empty.index_add(0, group_ids, torch.where(known, scores, 0.0))
    return count, total / count.clamp(min=1)


def find_zero_variance_groups(scores: Tensor, known: Tensor, group_ids: Tensor) -> Tensor:
    """Mark the completions of groups whose known rewards are all equal; they have no group-relative advantage.

    Args:
        scores: [B] rewards.
        known: [B] bool, False if the reward is unknown; such rewards are ignored.
        group_ids: [B] long, equal for the completions of one prompt, 0 .. G - 1.

    Returns:
        [B] bool.
    """
    num_groups = int(group_ids.max()) + 1
    infinity = torch.full((num_groups,), torch.inf, dtype=scores.dtype, device=scores.device)
    lowest = infinity.scatter_reduce(0, group_ids, torch.where(known, scores, torch.inf), "amin")
    highest = (-infinity).scatter_reduce(0, group_ids, torch.where(known, scores, -torch.inf), "amax")
    return (highest - lowest <= 0)[group_ids]
