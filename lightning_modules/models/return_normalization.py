"""Running mean and standard deviation of returns, in which the critic's head predicts: pure functions on tensors.

This is the value normalization of MAPPO (Yu et al. 2021, arXiv 2103.01955): the head predicts `(return - mean) / std`,
so that its targets have the same scale whatever the reward is, and an untrained head predicts the mean return.
"""

import torch
from torch import Tensor

DECAY = 0.9
"""Of the moments, per iteration: they are averages over about 1 / (1 - DECAY) iterations."""
MIN_VARIANCE = 1e-2
"""Smaller variances count as this, as in MAPPO's code: rewards may be all equal at first."""


def update_moments(moments: Tensor, sums: Tensor) -> Tensor:
    """Average the moments of an iteration's returns into the running ones.

    Args:
        moments: [3] running averages of 1, return and squared return; zeros at the start. The first one corrects the
            bias towards zero of the others.
        sums: [3] count, sum and sum of squares of the iteration's returns; a count of 0 changes nothing.

    Returns:
        [3].
    """
    if not bool(sums[0] > 0):
        return moments
    return DECAY * moments + (1.0 - DECAY) * (sums / sums[0]).to(moments)


def mean_and_std(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation, two scalars; 0 and 1 if there have been no returns."""
    weight = moments[0]
    mean, mean_square = moments[1] / weight, moments[2] / weight
    std = (mean_square - mean.square()).clamp(min=MIN_VARIANCE).sqrt()
    return torch.where(weight > 0, mean, 0.0), torch.where(weight > 0, std, 1.0)
