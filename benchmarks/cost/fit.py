"""From measured iterations to the constants of a machine, and how far off the estimate then is elsewhere.

Each part of an iteration is fitted by itself with two constants, "how often" and "how much", which are never negative.
The points that are kept out of the fit are only compared.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.cost.layout import Layout, RunSizes
from benchmarks.cost.machines import Link, Machine
from benchmarks.cost.sizes import ModelSizes
from benchmarks.cost.step import Work, expected_maximum, iteration_time, work_of


@dataclass(frozen=True, kw_only=True)
class Point:
    """A measured run: processor seconds of a rank by part, means over ranks and iterations, and what the clock said."""

    model: ModelSizes
    run: RunSizes
    layout: Layout
    is_fitted: bool
    """Else it is kept out, for comparison."""
    generate_s: float
    score_s: float
    update_s: float
    other_s: float
    wall_s: float
    """Median over the iterations."""
    rank_spread: float
    """Longest processor time of a rank to answer and read, over the mean of the ranks, less 1; mean over iterations."""

    @property
    def cpu_s(self) -> float:
        return self.generate_s + self.score_s + self.update_s + self.other_s


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Seconds, measured and estimated; communication is part of `update` in the estimate."""

    point: Point
    generate: tuple[float, float]
    score: tuple[float, float]
    update: tuple[float, float]
    other: tuple[float, float]
    cpu: tuple[float, float]
    """Without waiting."""
    wall: tuple[float, float]

    @property
    def error(self) -> float:
        """Estimate of the processor seconds over their measurement, less 1."""
        return self.cpu[1] / self.cpu[0] - 1

    @property
    def wall_error(self) -> float:
        return self.wall[1] / self.wall[0] - 1

    @property
    def cores_had(self) -> float:
        """Cores that all ranks together were given: less than ranks where they waited or others computed."""
        return self.point.cpu_s * self.point.layout.num_ranks / self.point.wall_s


def fit_machine(points: Sequence[Point], link: Link, *, name: str) -> Machine:
    """Fit the constants of one rank to points of one rank, then contention and spread to those of more.

    Args:
        points: those that are not `is_fitted` are passed over.
        link: between the ranks, measured by itself.
        name: of the machine.

    Raises:
        ValueError: there are not two points of one rank to fit to.
    """
    one = [point for point in points if point.is_fitted and point.layout.num_ranks == 1]
    several = [point for point in points if point.is_fitted and point.layout.num_ranks > 1]
    if len(one) < 2:
        raise ValueError(f"{len(one)} points of one rank to fit to: two constants a part need at least 2")

    def fitted(
        measured: Callable[[Point], float], often: Callable[[Work], float], much: Callable[[Work], float]
    ) -> tuple[float, float]:
        work = [work_of(point.model, point.run, point.layout) for point in one]
        return two_constants([(often(w), much(w), measured(p)) for w, p in zip(work, one, strict=True)])

    decode = fitted(lambda p: p.generate_s, lambda w: w.decode_steps, lambda w: w.decode_flops)
    read = fitted(lambda p: p.score_s, lambda w: w.read_passes, lambda w: w.read_flops)
    train = fitted(lambda p: p.update_s, lambda w: w.train_passes, lambda w: w.train_flops)
    other = fitted(lambda p: p.other_s, lambda w: 1.0, lambda w: w.num_samples)
    machine = Machine(
        name=name,
        decode_layer_s=decode[0], decode_flops_per_s=_rate(decode[1]),
        read_layer_s=read[0], read_flops_per_s=_rate(read[1]),
        train_layer_s=train[0], train_flops_per_s=_rate(train[1]),
        fixed_s=other[0], sample_s=other[1],
        within_node=link,
    )  # fmt: skip
    if not several:
        return machine
    return replace(
        machine,
        contention=float(np.mean([_contention(point, machine) for point in several])),
        rank_spread=float(np.mean([p.rank_spread / expected_maximum(p.layout.num_ranks) for p in several])),
    )


def two_constants(rows: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Solve a * often + b * much = seconds for a, b >= 0, with the least squares of relative errors.

    Args:
        rows: (often, much, seconds) each.
    """
    counts = np.array([row[:2] for row in rows]) / np.array([[row[2]] for row in rows])
    scale = counts.max(axis=0)
    target = np.ones(len(rows))
    candidates = []
    for chosen in ([0, 1], [0], [1]):
        found = np.zeros(2)
        found[chosen] = np.linalg.lstsq((counts / scale)[:, chosen], target, rcond=None)[0]
        if (found >= 0).all():
            candidates.append((float(((counts / scale) @ found - target) @ ((counts / scale) @ found - target)), found))
    _, best = min(candidates, key=lambda candidate: candidate[0])
    often, much = best / scale
    return float(often), float(much)


def compare(point: Point, machine: Machine) -> Comparison:
    """Put an estimate beside a measurement."""
    time = iteration_time(point.model, point.run, point.layout, machine)
    return Comparison(
        point=point,
        generate=(point.generate_s, time.generate),
        score=(point.score_s, time.score),
        update=(point.update_s, time.update + time.communicate),
        other=(point.other_s, time.other),
        cpu=(point.cpu_s, time.total - time.wait - time.execute),
        wall=(point.wall_s, time.total),
    )


def _contention(point: Point, machine: Machine) -> float:
    """Divide the computing of a point by what the same ranks would take alone."""
    alone = iteration_time(point.model, point.run, point.layout, machine)
    return max(1.0, (point.cpu_s - alone.communicate) / (alone.generate + alone.score + alone.update + alone.other))


def _rate(seconds_each: float) -> float:
    return 1 / seconds_each if seconds_each > 0 else math.inf
