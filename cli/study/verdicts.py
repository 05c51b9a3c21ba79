"""Verdicts of a study: crossed bootstrap over seeds and tasks, and Holm's correction over the hypotheses. Pure.

Scores are one dictionary (task id -> score in [0, 1]) per seed.

Seeds and tasks are resampled independently, and the two deviations from the mean are added; the usual crossed
bootstrap, which multiplies both weights, counts the noise of sampling three times. The plain bootstrap of S seeds is
overconfident: it shrinks the variance between seeds by the factor (S - 1) / S, and replaces Student's distribution by
the normal one. Each draw therefore multiplies the deviation of the seeds by sqrt(S / chi2(S - 1)), which corrects both.
With one seed the interval covers the choice of tasks alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lightning_modules.evaluation.statistics import Interval, constant_interval

NUM_DRAWS = 10_000
SMALLEST_EFFECT = 0.02
"""A hypothesis whose whole interval lies below is not reproduced."""
FAMILY_ERROR = 0.05
"""Probability that any hypothesis is falsely called reproduced, two-sided."""
_CHUNK = 1000

Scores = Sequence[Mapping[str, float]]


class Verdict(StrEnum):
    """Verdict on a hypothesis."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    UNDECIDED = "undecided"
    NO_SIGNAL = "undecided: no signal"
    ONE_SEED = "undecided: one seed"
    MIXED = "undecided: seeds of different settings"


@dataclass(frozen=True, kw_only=True, eq=False)
class CrossedMean:
    """A mean over seeds and tasks, with its bootstrap distribution."""

    values: np.ndarray
    """[S, T]: seed by task."""
    floor: float
    """Minimum of a value: 0 for scores, -1 for differences; the maximum is 1."""
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
        """Mean over tasks, for each seed."""
        return [float(mean) for mean in self.values.mean(axis=1)]

    def interval(self, confidence: float) -> Interval:
        """Percentiles of the draws; `constant_interval` where all values are the same."""
        tail = (1 - confidence) / 2
        if not self.draws.size:
            return constant_interval(self.mean, floor=self.floor, num_tasks=self.num_tasks, confidence=confidence)
        low, high = np.quantile(self.draws, [tail, 1 - tail])
        return Interval(self.mean, max(self.floor, float(low)), min(1.0, float(high)))

    def p_value(self) -> float:
        """One-sided p of "the mean is at most 0": the smallest tail at which the lower end is 0."""
        if not self.draws.size:
            return float((1 + self.mean) ** -self.num_tasks) if self.mean > 0 else 1.0
        return float((1 + np.count_nonzero(self.draws <= 0)) / (1 + self.draws.size))


def crossed_mean(scores: Scores, *, seed: int = 0) -> CrossedMean:
    """Mean score over seeds and tasks; a task that was not graded for every seed is left out.

    Raises:
        ValueError: no task was graded for every seed.
    """
    return _crossed(_matrix(scores, _shared_tasks(scores)), floor=0.0, seed=seed)


def paired_mean_difference(treatment: Scores, control: Scores, *, seed: int = 0) -> CrossedMean:
    """Mean of `treatment - control`, paired by seed (position in the list) and by task.

    A task that was not graded for every seed on both sides is left out, since a sandbox fault is not a failure.

    Raises:
        ValueError: the sides have different numbers of seeds, or share no task.
    """
    if len(treatment) != len(control):
        raise ValueError(f"a paired difference needs the same seeds on both sides: {len(treatment)} and {len(control)}")
    tasks = _shared_tasks([*treatment, *control])
    return _crossed(_matrix(treatment, tasks) - _matrix(control, tasks), floor=-1.0, seed=seed)


def holm_confidences(p_values: Sequence[float], *, error: float = FAMILY_ERROR) -> list[float]:
    """Return the confidence of each hypothesis's two-sided interval, by Holm's step-down procedure.

    In the order of their p-values, hypothesis i of m (from 0) gets 1 - error / (m - i) as long as all before it are
    rejected; from the first that is not, all get the same confidence. A null hypothesis is rejected exactly where the
    lower end of the interval is above 0.

    Args:
        p_values: one-sided, one per hypothesis; 1.0 for one that was not measured.
        error: probability of any false rejection, two-sided.
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


def decide(interval: Interval, *, num_seeds: int, has_signal: bool = True) -> Verdict:
    """Return the verdict that follows from the interval of a difference.

    Args:
        interval: at the confidence of Holm's procedure.
        num_seeds: of the interval. With one seed there is no verdict, as the interval covers tasks alone.
        has_signal: whether the gate of the hypothesis was reached, or it has none.
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
        raise ValueError("there are no seeds: a mean needs at least one")
    shared = set(scores[0]).intersection(*scores[1:])
    if not shared:
        raise ValueError("no task was graded for every seed: a mean needs at least one")
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
    """Draw [_CHUNK] means of values [S, T], resampling seeds and, independently, tasks."""
    num_seeds, num_tasks = values.shape
    by_seed, by_task = values.mean(axis=1) - values.mean(), values.mean(axis=0)
    from_tasks = by_task[random.integers(num_tasks, size=(_CHUNK, num_tasks))].mean(axis=1)
    if num_seeds == 1:
        return from_tasks
    stretch = np.sqrt(num_seeds / random.chisquare(num_seeds - 1, size=_CHUNK))
    return from_tasks + stretch * by_seed[random.integers(num_seeds, size=(_CHUNK, num_seeds))].mean(axis=1)
