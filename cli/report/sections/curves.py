"""Metrics over training: means over seeds, and the path of the scores on training and held-out tasks. Pure.

The difference between training and held-out score favours arms that learned nothing. Arms are therefore compared where
they reach the same training score (`LEVELS`), and by the ratio of held-out to training score where the latter is at
least `MIN_TRAIN`. Both use greedy completions; RL, whose training score is of sampled completions, has only a path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cli.report.figures.plots import Point
from cli.study.results import ArmResult

MAX_POINTS = 120
"""Of a curve in a picture."""
HELD_OUT_TAG = "pass_at_k/synthetic_val/greedy"
GREEDY_TRAIN_TAG = "pass_at_k/synthetic_train/greedy"
SAMPLED_TRAIN_TAG = "rollout/pass_at_1"
"""Pass@1 of the sampled completions that RL was rewarded for."""
MIN_TRAIN = 0.2
LEVELS = (0.2, 0.4, 0.6, 0.8)
"""Training scores at which gaps are compared."""


def find_curves(arms: Mapping[int, ArmResult], tag: str) -> list[list[Point]]:
    """Return the curve of a tag for each seed that has one."""
    return [[(step, value) for step, value in arm.curves[tag]] for arm in arms.values() if arm.curves.get(tag)]


def mean_curve(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """Average curves at the steps that all of them have."""
    if not curves:
        return []
    by_step = [dict(curve) for curve in curves]
    shared = sorted(set(by_step[0]).intersection(*by_step[1:]))
    return [(step, sum(curve[step] for curve in by_step) / len(by_step)) for step in shared]


def downsample(curve: Sequence[Point], *, max_points: int = MAX_POINTS) -> list[Point]:
    """Average neighbouring points if there are more than `max_points`; the last point remains."""
    if len(curve) <= max_points:
        return list(curve)
    size = -(-(len(curve) - 1) // (max_points - 1))
    parts = [curve[start : min(start + size, len(curve) - 1)] for start in range(0, len(curve) - 1, size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts] + [curve[-1]]


class PathPoint(NamedTuple):
    """Pass@1 on training and on held-out tasks at a step."""

    step: float
    train: float
    held_out: float


def has_greedy_train_score(result: ArmResult) -> bool:
    """Whether the score on training tasks is of greedy completions, as that on held-out tasks always is."""
    return bool(result.curves.get(GREEDY_TRAIN_TAG))


def training_path(result: ArmResult) -> list[PathPoint]:
    """Return both scores at every validation; empty if a run has no score on training tasks.

    The training score is the mean since the previous validation, because each iteration of RL has other tasks.
    """
    train = result.curves.get(GREEDY_TRAIN_TAG if has_greedy_train_score(result) else SAMPLED_TRAIN_TAG, [])
    found, before = [], float("-inf")
    for step, score in result.curves.get(HELD_OUT_TAG, []):
        since = [value for at, value in train if before < at <= step]
        if since:
            found.append(PathPoint(step, sum(since) / len(since), score))
            before = step
    return found


def mean_gap(level: float, paths: Sequence[Sequence[PathPoint]]) -> float | None:
    """Return training minus held-out score where the training score first reaches `level`, as the mean over seeds.

    Args:
        level: pass@1 on training tasks, 0 to 1.
        paths: one per seed.

    Returns:
        None if a seed never reaches the level, or is above it at the first validation.
    """
    gaps = [_gap(level, path) for path in paths]
    known = [gap for gap in gaps if gap is not None]
    return sum(known) / len(known) if known and len(known) == len(gaps) else None


def transfer_ratio(train: float, held_out: float) -> float | None:
    """Held-out over training score; None if the training score is below `MIN_TRAIN`."""
    return held_out / train if train >= MIN_TRAIN else None


def _gap(level: float, path: Sequence[PathPoint]) -> float | None:
    """Training minus held-out score where the former first reaches a level, by linear interpolation."""
    if path and path[0].train == level:
        return level - path[0].held_out
    for before, after in zip(path, path[1:], strict=False):
        if before.train > level:
            return None
        if after.train >= level:
            fraction = (level - before.train) / (after.train - before.train)
            return level - (before.held_out + fraction * (after.held_out - before.held_out))
    return None
