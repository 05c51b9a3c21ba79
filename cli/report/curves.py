"""Curves of several seeds: brought to the same steps, averaged, thinned to what a picture can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cli.report.svg import Point
from cli.study.results import ArmResult

MOST_POINTS = 120


def curves_of(arms: Mapping[int, ArmResult], tag: str) -> list[list[Point]]:
    """Return the curve of each seed that has one."""
    return [[(step, value) for step, value in arm.curves[tag]] for arm in arms.values() if arm.curves.get(tag)]


def mean_curve(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """Average curves at the steps that all of them have."""
    if not curves:
        return []
    by_step = [dict(curve) for curve in curves]
    shared = sorted(set(by_step[0]).intersection(*by_step[1:]))
    return [(step, sum(curve[step] for curve in by_step) / len(by_step)) for step in shared]


def thinned(curve: Sequence[Point], *, most: int = MOST_POINTS) -> list[Point]:
    """Average runs of neighbours where there are more points than a picture shows; the last point stays itself."""
    if len(curve) <= most:
        return list(curve)
    size = -(-(len(curve) - 1) // (most - 1))
    parts = [curve[start : min(start + size, len(curve) - 1)] for start in range(0, len(curve) - 1, size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts] + [curve[-1]]
