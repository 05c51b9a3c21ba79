"""Partial credit: the parts of a reward that a program gets without passing (`fraction_coef`, `loads_coef`).

Group-relative estimators divide by the standard deviation of a group, so in a group without any pass, rewards of 0.0
and 0.1 give advantages as large as 0 and 1 do. Where passes are rare, most groups are like that, and the policy learns
to load, or to pass some tests, instead of to pass. Partial credit is safe where it only ranks the failures of a group
that also has a pass.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_modules.rl.rollouts.records import Rollout, number_groups

PARTIAL = ("fraction", "loads")
"""Parts of `Reward` that do not need a pass."""


def score_rollouts(rollouts: Sequence[Rollout], *, needs_pass: bool) -> Tensor:
    """Return the rewards that advantages are computed from.

    Args:
        rollouts: N rollouts.
        needs_pass: withhold partial credit in groups without a pass (`withhold_partial_credit`).

    Returns:
        [N], 0 if the reward is unknown.
    """
    rewards = [rollout.reward for rollout in rollouts]
    scores = torch.tensor([0.0 if reward is None else reward.total for reward in rewards])
    if not needs_pass:
        return scores
    without = [
        0.0 if reward is None else sum(part for name, part in reward.parts.items() if name not in PARTIAL)
        for reward in rewards
    ]
    passed = torch.tensor([rollout.outcome.passed for rollout in rollouts])
    return withhold_partial_credit(scores, torch.tensor(without), passed, number_groups(rollouts))


def withhold_partial_credit(scores: Tensor, without: Tensor, passed: Tensor, group_ids: Tensor) -> Tensor:
    """Replace the rewards of groups in which nothing passed by those without partial credit.

    Args:
        scores: [B] rewards.
        without: [B] rewards without partial credit.
        passed: [B] bool.
        group_ids: [B] long, equal for the completions of one prompt, 0 .. G - 1.

    Returns:
        [B].
    """
    num_passed = torch.zeros(int(group_ids.max()) + 1).index_add_(0, group_ids, passed.float())
    return torch.where(num_passed[group_ids] > 0, scores, without)
