"""The plots of a report: dots with intervals, lines, and stacked areas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import MaxNLocator

from cli.report.figures.svg import NUM_COLORS, PLACEHOLDERS, PLAIN, get_size, new_axes, to_svg
from cli.study.plan import StudyConfig
from lightning_modules.evaluation.statistics import Interval

Point = tuple[float, float]

WIDTH = 380.0
_SOFT: Any = {"color": PLACEHOLDERS["soft"], "fontsize": 10.5}
_LETTER = 7.0
"""Width of a letter of a label, pixels."""
_LINE_HEIGHT = 13.0


@dataclass(frozen=True, kw_only=True)
class DotRow:
    """A mean with its interval, and the mean of each seed."""

    label: str
    interval: Interval
    by_seed: Sequence[float]
    color: str
    """Name of a CSS variable."""
    value: str
    """The formatted number."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line, or a single dot."""

    label: str
    points: Sequence[Point]
    color: str = PLAIN
    seeds: Sequence[Sequence[Point]] = ()
    """The lines of each seed, drawn faintly."""
    whiskers: Sequence[tuple[float, float, float]] = ()
    """(x, low, high)."""
    with_dots: bool = False


@dataclass(frozen=True, kw_only=True)
class PlotAxes:
    """The axes of a line plot."""

    label: str
    """For screen readers."""
    x_title: str
    x_ticks: Sequence[tuple[float, str]] = ()
    """Empty = round values."""
    format_x: Callable[[float], str] = "{:g}".format
    format_y: Callable[[float], str] = "{:g}".format
    y_min: float | None = None
    """The axis reaches at least this far; None = as far as the data."""
    y_max: float | None = None
    diagonal: bool = False
    """Whether both axes have the same scale, with a line where they are equal."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A fraction over time."""

    label: str
    fractions: Sequence[float]
    color: str


def choose_colors(study: StudyConfig) -> Mapping[str, str]:
    """Return a colour for each stage of a hypothesis; all other stages share a grey."""
    named = dict.fromkeys(stage for contrast in study.contrasts for stage in (contrast.treatment, contrast.control))
    colored = list(named)[:NUM_COLORS]
    return {
        stage.name: f"stage{colored.index(stage.name)}" if stage.name in colored else PLAIN for stage in study.stages
    }


def dot_plot(
    rows: Sequence[DotRow], *, format_value: Callable[[float], str], label: str, marks: Sequence[tuple[float, str]] = ()
) -> str:
    """Draw rows of dots with intervals over one axis, which includes 0; seeds are small marks below.

    Args:
        rows: from top to bottom; label and value are above each dot.
        format_value: formats the ticks.
        label: for screen readers.
        marks: values with a dashed line, and their labels.
    """
    row_height, height = 40.0, 40.0 * len(rows) + (44 if marks else 30)
    reached = [0.0, *(value for value, _ in marks)]
    for row in rows:
        reached += [row.interval.low, row.interval.high, *row.by_seed]
    low, high = min(reached), max(reached)
    room = 0.04 * (high - low) or 0.5
    figure, axes = new_axes(WIDTH, height, left=10, right=10, top=4, bottom=22)
    axes.set_xlim(low - room if low < 0 else low, high + room)
    bottom = height - 26
    axes.set_ylim(bottom, 0)  # pixels from the top
    axes.grid(axis="x", color=PLACEHOLDERS["rule"], linewidth=1, clip_on=False)
    _set_ticks(axes.xaxis, _round_ticks(axes.get_xlim(), 5), format_value)
    axes.set_yticks([])
    axes.axvline(0, color=PLACEHOLDERS["soft"], linewidth=1, clip_on=False)
    for value, words in marks:
        axes.axvline(value, color=PLACEHOLDERS["soft"], linewidth=1, dashes=(3, 3), clip_on=False)
        side = "right" if value > low + 0.8 * (high - low) else "left"
        axes.text(value, bottom - 3, f"\N{NO-BREAK SPACE}{words}\N{NO-BREAK SPACE}", ha=side, **_SOFT)
    for number, row in enumerate(rows):
        y, color = row_height * number + 26, PLACEHOLDERS[row.color]
        start, end = axes.get_xlim()
        axes.text(start, y - 12, row.label, color=color, fontsize=11.5, fontweight="bold")
        axes.text(end, y - 12, row.value, color=PLACEHOLDERS["ink"], fontsize=11.5, ha="right")
        axes.errorbar(
            row.interval.mean,
            y,
            xerr=[[row.interval.mean - row.interval.low], [row.interval.high - row.interval.mean]],
            fmt="o",
            markersize=8,
            color=color,
            elinewidth=2,
            capsize=4,
            capthick=2,
            clip_on=False,
        )
        if len(row.by_seed) > 1:
            axes.vlines(row.by_seed, y + 5, y + 10, color=color, linewidth=1.6, alpha=0.75, clip_on=False)
    return to_svg(figure, label)


def line_plot(series: Sequence[Series], axes: PlotAxes, *, width: float = WIDTH, height: float = 250.0) -> str:
    """Draw lines with their labels at the right end."""
    labels = [one.label for one in series if one.label]
    right = 12 + _LETTER * max(map(len, labels), default=0)
    figure, plot = new_axes(width, height, left=42, right=right, top=10, bottom=34 if axes.x_title else 20)
    x_range, y_range = _find_ranges(series, axes)
    plot.set_xlim(*x_range)
    plot.set_ylim(*y_range)
    plot.grid(axis="y", color=PLACEHOLDERS["rule"], linewidth=1, clip_on=False)
    _set_ticks(plot.yaxis, _round_ticks(y_range, 4), axes.format_y)
    if axes.x_ticks:
        plot.set_xticks([x for x, _ in axes.x_ticks], [words for _, words in axes.x_ticks])
    else:
        _set_ticks(plot.xaxis, _round_ticks(x_range, 4), axes.format_x)
    plot.set_xlabel(axes.x_title, labelpad=2, **_SOFT)
    if axes.diagonal:
        plot.plot(x_range, x_range, color=PLACEHOLDERS["soft"], linewidth=1, dashes=(3, 3), clip_on=False)
    for one in series:
        color = PLACEHOLDERS[one.color]
        for seed in one.seeds:
            if len(seed) > 1:
                plot.plot(*zip(*seed, strict=True), color=color, linewidth=1, alpha=0.35, clip_on=False)
        for x, low, high in one.whiskers:
            plot.vlines(x, low, high, color=color, linewidth=2, clip_on=False)
        marker = "o" if one.with_dots or len(one.points) == 1 else None
        plot.plot(*zip(*one.points, strict=True), color=color, linewidth=2, marker=marker, markersize=7, clip_on=False)
    _label_ends(plot, [(one.label, one.points[-1], one.color) for one in series if one.label and one.points])
    return to_svg(figure, axes.label)


def stacked_area(steps: Sequence[float], layers: Sequence[Layer], *, label: str) -> str:
    """Draw fractions that add up to 1, from the bottom up, with labels at the right edge.

    A layer of less than 0.5 % at the last step has no label.
    """
    if len(steps) == 1:
        steps = [steps[0], steps[0] + 1]
        layers = [Layer(label=one.label, fractions=[*one.fractions] * 2, color=one.color) for one in layers]
    height = 190.0
    figure, plot = new_axes(WIDTH, height, left=40, right=130, top=8, bottom=34)
    plot.set_xlim(steps[0], steps[-1])
    plot.set_ylim(0, 1)
    colors = [PLACEHOLDERS[layer.color] for layer in layers]
    ground = PLACEHOLDERS["ground"]
    plot.stackplot(
        steps, *(layer.fractions for layer in layers), colors=colors, edgecolor=ground, linewidth=0.7, clip_on=False
    )
    _set_ticks(plot.yaxis, [0.0, 0.5, 1.0], lambda value: f"{100 * value:.0f}%")
    _set_ticks(plot.xaxis, _round_ticks((steps[0], steps[-1]), 4), "{:g}".format)
    plot.set_xlabel("step", labelpad=2, **_SOFT)
    ends, floor = [], 0.0
    for layer in layers:
        last = layer.fractions[-1]
        if last >= 0.005:
            ends.append((f"{layer.label} {100 * last:.0f}%", (steps[-1], floor + last / 2), "ink"))
        floor += last
    _label_ends(plot, ends)
    return to_svg(figure, label)


def spread_labels(places: Sequence[float], *, distance: float, low: float, high: float) -> list[float]:
    """Move places as little as needed so that they are `distance` apart and between low and high.

    If there is not enough room, they extend beyond `high`.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved: list[float] = []
    for index in order:
        moved.append(max(places[index], low, moved[-1] + distance if moved else low))
    ceiling = max(high, low + distance * (len(places) - 1))
    for place in reversed(range(len(moved))):
        moved[place] = min(moved[place], ceiling)
        ceiling = moved[place] - distance
    found = [0.0] * len(places)
    for place, index in enumerate(order):
        found[index] = moved[place]
    return found


def _round_ticks(ends: tuple[float, float], most: int) -> list[float]:
    low, high = ends
    ticks = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    room = 1e-9 * (high - low)
    return [float(tick) for tick in ticks if low - room <= tick <= high + room]


def _set_ticks(axis: Axis, ticks: Sequence[float], format_value: Callable[[float], str]) -> None:
    axis.set_ticks(ticks, [format_value(0.0 if abs(tick) < 1e-12 else tick) for tick in ticks])


def _find_ranges(series: Sequence[Series], axes: PlotAxes) -> tuple[Point, Point]:
    points = [point for one in series for line in (one.points, *one.seeds) for point in line]
    points += [(x, y) for one in series for x, low, high in one.whiskers for y in (low, high)]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if axes.diagonal:
        xs = ys = [0.0, *xs, *ys]
    y_low = min(ys) if axes.y_min is None else min(axes.y_min, *ys)
    y_high = max(ys) if axes.y_max is None else max(axes.y_max, *ys)
    if y_low == y_high:
        y_high = y_low + (abs(y_low) or 1.0)
    x_low, x_high = (y_low, y_high) if axes.diagonal else (min(xs), max(xs))
    return (x_low, x_high if x_high > x_low else x_low + 1.0), (y_low, y_high)


def _label_ends(axes: Axes, ends: Sequence[tuple[str, Point, str]]) -> None:
    """Write labels right of the plot at the height of their points, with thin lines to points that have a colour.

    Args:
        axes: the plot.
        ends: label, point and colour.
    """
    if not ends:
        return
    place, (width, height) = axes.get_position(), get_size(axes)
    low, high = axes.get_ylim()
    bottom, scale = height * place.y0, height * place.height / (high - low)
    heights = spread_labels(
        [bottom + (y - low) * scale for _, (_, y), _ in ends],
        distance=_LINE_HEIGHT,
        low=bottom,
        high=height * place.y1,
    )
    for (label, point, color), y in zip(ends, heights, strict=True):
        leader = {"arrowstyle": "-", "color": PLACEHOLDERS[color], "linewidth": 0.8, "alpha": 0.6}
        axes.annotate(
            label,
            xy=point,
            xytext=(width * place.x1 + 8, y),
            textcoords="figure points",
            fontsize=11,
            fontweight="bold",
            color=PLACEHOLDERS[color],
            va="center",
            annotation_clip=False,
            arrowprops=None if color == "ink" else {**leader, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 4},
        )
