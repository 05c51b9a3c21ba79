"""Intervals over tasks, by bootstrap: of a mean score, and of the paired difference of two policies.

The interval speaks of the choice of tasks and of what was sampled on them, for a given policy; it says nothing of
how a policy varies between training seeds.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

NUM_RESAMPLES = 4000
_CHUNK = 100


class Interval(NamedTuple):
    """A mean with the ends of its interval."""

    mean: float
    low: float
    high: float


def mean_interval(scores: Mapping[str, float], *, seed: int = 0, confidence: float = 0.95) -> Interval:
    """Percentile bootstrap of the mean of `scores` (task id -> score) over tasks.

    Raises:
        ValueError: there are no scores.
    """
    if not scores:
        raise ValueError("no task was scored: an interval needs at least one")
    values = np.array([scores[task_id] for task_id in sorted(scores)], dtype=np.float64)
    random = np.random.default_rng(seed)
    means = np.concatenate(
        [
            values[random.integers(len(values), size=(_CHUNK, len(values)))].mean(axis=1)
            for _ in range(NUM_RESAMPLES // _CHUNK)
        ]
    )
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(float(values.mean()), float(low), float(high))


def score_interval(scores: Mapping[str, float], *, seed: int = 0, confidence: float = 0.95) -> Interval:
    """Interval of a mean score in [0, 1].

    Where all tasks scored 0, or all 1, resampling them would give a width of nothing; the ends are then those of the
    exact binomial interval (Clopper and Pearson 1934) for as many tasks.

    Raises:
        ValueError: there are no scores.
    """
    values = set(scores.values())
    if values not in ({0.0}, {1.0}):
        return mean_interval(scores, seed=seed, confidence=confidence)
    far = ((1 - confidence) / 2) ** (1 / len(scores))
    return Interval(1.0, far, 1.0) if values == {1.0} else Interval(0.0, 0.0, 1 - far)


def paired_difference(
    after: Mapping[str, float], before: Mapping[str, float], *, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Interval of the mean of `after - before` task by task; tasks are resampled in pairs.

    Raises:
        ValueError: the two were not scored on the same tasks.
    """
    if after.keys() != before.keys():
        differing = sorted(after.keys() ^ before.keys())
        raise ValueError(
            f"a paired difference needs the same tasks on both sides: {len(differing)} are on one side only, "
            f"{differing[0]} for one"
        )
    differences = {task_id: after[task_id] - before[task_id] for task_id in after}
    return mean_interval(differences, seed=seed, confidence=confidence)
