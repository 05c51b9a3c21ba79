"""What a study may claim: crossed bootstrap over seeds and tasks, Holm over the findings, one verdict each.

Scores come in as one dictionary (task id -> score in [0, 1]) a seed. Pure; it reads and prints nothing, and knows
nothing of stages.

Seeds and tasks are drawn anew independently, and the two deviations from the mean are added; weighting both at once
would count the noise of sampling three times. The plain bootstrap of five seeds is too sure of itself: it shrinks the
spread between seeds by the factor 4/5 and takes a Student variable for a normal one. So each draw stretches the
deviation that comes from seeds by sqrt(S / chi2(S - 1)), which undoes both. With one seed, seeds cannot be drawn anew:
the interval is of tasks alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lightning_modules.evaluation.statistics import Interval

NUM_DRAWS = 10_000
SMALLEST_EFFECT = 0.02
"""A finding whose whole interval lies below is said not to be there."""
FAMILY_ERROR = 0.05
"""Chance that any of the findings is falsely called one, two-sided."""
_CHUNK = 1000

Scores = Sequence[Mapping[str, float]]


class Verdict(StrEnum):
    """What can be said of a finding."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    UNDECIDED = "undecided"
    NO_SIGNAL = "undecided: no signal"
    ONE_SEED = "undecided: one seed"
    MIXED = "undecided: seeds of different settings"


@dataclass(frozen=True, kw_only=True, eq=False)
class CrossedMean:
    """A mean over seeds and tasks, and how it varies when both are drawn anew."""

    values: np.ndarray
    """[S, T]: seed by task."""
    floor: float
    """Least a value can be: 0 for scores, -1 for differences; the most is 1."""
    draws: np.ndarray
    """[NUM_DRAWS] means; empty where all values are the same."""

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def num_seeds(self) -> int:
        return self.values.shape[0]

    @property
    def num_tasks(self) -> int:
        return self.values.shape[1]

    @property
    def by_seed(self) -> list[float]:
        """Mean over tasks of each seed."""
        return [float(mean) for mean in self.values.mean(axis=1)]

    def interval(self, confidence: float) -> Interval:
        """Percentiles of the draws.

        Where all values are the same, resampling them says nothing. The ends are then what a share of up to
        1 - tail**(1/T) of tasks, unseen among T, could move the mean by (Clopper and Pearson 1934).
        """
        tail = (1 - confidence) / 2
        if not self.draws.size:
            unseen = 1 - tail ** (1 / self.num_tasks)
            return Interval(
                self.mean, self.mean - (self.mean - self.floor) * unseen, self.mean + (1 - self.mean) * unseen
            )
        low, high = np.quantile(self.draws, [tail, 1 - tail])
        return Interval(self.mean, max(self.floor, float(low)), min(1.0, float(high)))

    def p_value(self) -> float:
        """One-sided p of "the mean is at most 0": the smallest tail at which the lower end is 0."""
        if not self.draws.size:
            return float((1 + self.mean) ** -self.num_tasks) if self.mean > 0 else 1.0
        return float((1 + np.count_nonzero(self.draws <= 0)) / (1 + self.draws.size))


def crossed_mean(scores: Scores, *, seed: int = 0) -> CrossedMean:
    """Mean score over seeds and tasks; a task that was not judged for every seed is left out.

    Raises:
        ValueError: no task was judged for every seed.
    """
    return _crossed(_matrix(scores, _shared_tasks(scores)), floor=0.0, seed=seed)


def difference_of(better: Scores, worse: Scores, *, seed: int = 0) -> CrossedMean:
    """Mean of `better - worse`, paired by seed (place in the list) and by task.

    A task that was not judged for every seed on both sides is left out: a fault of the sandbox is no failure.

    Raises:
        ValueError: the sides have different numbers of seeds, or share no task.
    """
    if len(better) != len(worse):
        raise ValueError(f"a paired difference needs the same seeds on both sides: {len(better)} and {len(worse)}")
    tasks = _shared_tasks([*better, *worse])
    return _crossed(_matrix(better, tasks) - _matrix(worse, tasks), floor=-1.0, seed=seed)


def crossed_difference(better: Scores, worse: Scores, *, confidence: float) -> Interval:
    """Interval of `difference_of(better, worse)`."""
    return difference_of(better, worse).interval(confidence)


def holm_confidences(p_values: Sequence[float], *, error: float = FAMILY_ERROR) -> list[float]:
    """Find the confidence of each finding's two-sided interval, by Holm's steps from the smallest p upwards.

    The finding in place i of m gets 1 - error / (m - i) as long as all before it hold; from the first one that does
    not, all get its confidence. A finding holds exactly where the lower end of its interval is above 0.

    Args:
        p_values: one-sided, one a finding; 1.0 for a finding that was not measured.
        error: chance of any false finding, two-sided.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    found = [0.0] * len(p_values)
    holding, allowed = True, 0.0
    for place, index in enumerate(order):
        if holding:
            allowed = error / (len(order) - place)
            holding = 2 * p_values[index] <= allowed
        found[index] = 1 - allowed
    return found


def verdict(interval: Interval, *, num_seeds: int, has_signal: bool = True) -> Verdict:
    """Say what an interval of a difference means.

    Args:
        interval: at the confidence Holm's steps gave.
        num_seeds: how many it comes from. One alone decides nothing: its interval knows of tasks only.
        has_signal: whether the gate of the finding was reached, or it has none.
    """
    if not has_signal:
        return Verdict.NO_SIGNAL
    if num_seeds == 1:
        return Verdict.ONE_SEED
    if interval.low > 0:
        return Verdict.REPRODUCED
    if interval.high < SMALLEST_EFFECT:
        return Verdict.NOT_REPRODUCED
    return Verdict.UNDECIDED


def _shared_tasks(scores: Scores) -> list[str]:
    if not scores:
        raise ValueError("no seed was scored: a mean needs at least one")
    shared = set(scores[0]).intersection(*scores[1:])
    if not shared:
        raise ValueError("no task was judged for every seed: a mean needs at least one")
    return sorted(shared)


def _matrix(scores: Scores, tasks: Sequence[str]) -> np.ndarray:
    return np.array([[seed[task] for task in tasks] for seed in scores], dtype=np.float64)


def _crossed(values: np.ndarray, *, floor: float, seed: int) -> CrossedMean:
    if np.all(values == values.flat[0]):
        return CrossedMean(values=values, floor=floor, draws=np.empty(0))
    random = np.random.default_rng(seed)
    draws = np.concatenate([_draw(values, random) for _ in range(NUM_DRAWS // _CHUNK)])
    return CrossedMean(values=values, floor=floor, draws=draws)


def _draw(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw [_CHUNK] means of values [S, T] with fresh seeds and, independently, fresh tasks."""
    num_seeds, num_tasks = values.shape
    by_seed, by_task = values.mean(axis=1) - values.mean(), values.mean(axis=0)
    from_tasks = by_task[random.integers(num_tasks, size=(_CHUNK, num_tasks))].mean(axis=1)
    if num_seeds == 1:
        return from_tasks
    stretch = np.sqrt(num_seeds / random.chisquare(num_seeds - 1, size=_CHUNK))
    return from_tasks + stretch * by_seed[random.integers(num_seeds, size=(_CHUNK, num_seeds))].mean(axis=1)
