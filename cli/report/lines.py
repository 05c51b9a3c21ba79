"""Lines and dots over two axes, labelled at their ends instead of by a legend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cli.report.frame import LINE_HEIGHT, Frame, kept_apart, ticks_between
from cli.report.svg import Point, circle, drawing, group, line, path, text

WIDTH = 380.0
_LETTER = 7.0
"""Mean width of a letter of a label."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line, or a single dot."""

    label: str
    points: Sequence[Point]
    tone: str = "plain"
    seeds: Sequence[Sequence[Point]] = field(default_factory=tuple)
    """The same of each seed, drawn faintly."""
    whiskers: Sequence[tuple[float, float, float]] = field(default_factory=tuple)
    """(x, low, high)."""
    dotted: bool = False
    """Whether each point is a dot."""


@dataclass(frozen=True, kw_only=True)
class Axes:
    """What the axes say."""

    label: str
    """For screen readers."""
    x_title: str
    x_ticks: Sequence[tuple[float, str]] = ()
    """Empty: round values."""
    write_x: Callable[[float], str] = "{:g}".format
    write_y: Callable[[float], str] = "{:g}".format
    y_from: float | None = None
    """Lowest value of the vertical axis; None = as the data have it."""
    y_to: float | None = None
    diagonal: bool = False
    """Whether both axes have the same scale, and a line where they are equal."""


def line_plot(series: Sequence[Series], axes: Axes, *, width: float = WIDTH, height: float = 250.0) -> str:
    """Draw all series into one plot."""
    names = [one.label for one in series if one.label]
    margin = 12 + _LETTER * max(map(len, names), default=0)
    frame = _frame(series, axes, left=42, right=width - margin, bottom=height - (34 if axes.x_title else 20))
    y_ticks = ticks_between(*frame.y_range, most=4)
    x_ticks = axes.x_ticks or [(x, axes.write_x(x)) for x in ticks_between(*frame.x_range, most=4)]
    shapes = [*frame.rules(y_ticks, axes.write_y), *frame.feet(x_ticks, title=axes.x_title)]
    if axes.diagonal:
        low, high = frame.x_range
        shapes.append(line(frame.at((low, low)), frame.at((high, high)), class_="mark"))
    shapes += [group(_shapes(one, frame), class_=one.tone) for one in series]
    shown = [one for one in series if one.label and one.points]
    places = kept_apart(
        [frame.y(one.points[-1][1]) for one in shown], least=LINE_HEIGHT, low=frame.top, high=frame.bottom
    )
    for one, place in zip(shown, places, strict=True):
        x, y = frame.at(one.points[-1])
        leader = path([(x + 5, y), (frame.right + 2, place), (frame.right + 6, place)], class_="leader")
        words = text((frame.right + 8, place + 3.5), one.label, class_="label strong")
        shapes.append(group([leader, words], class_=one.tone))
    return drawing(width, height, shapes, label=axes.label)


def _shapes(one: Series, frame: Frame) -> list[str]:
    shapes = [path(map(frame.at, seed), class_="faint") for seed in one.seeds if len(seed) > 1]
    for x, low, high in one.whiskers:
        shapes.append(line(frame.at((x, low)), frame.at((x, high)), class_="whisker"))
    if len(one.points) > 1:
        shapes.append(path(map(frame.at, one.points), class_="line"))
    if one.dotted or len(one.points) == 1:
        shapes += [circle(frame.at(point), 4, class_="dot") for point in one.points]
    return shapes


def _frame(series: Sequence[Series], axes: Axes, *, left: float, right: float, bottom: float) -> Frame:
    everything = [point for one in series for line in (one.points, *one.seeds) for point in line]
    everything += [(x, y) for one in series for x, low, high in one.whiskers for y in (low, high)]
    xs, ys = [x for x, _ in everything], [y for _, y in everything]
    if axes.diagonal:
        xs = ys = [0.0, *xs, *ys]
    y_low = min(ys) if axes.y_from is None else min(axes.y_from, *ys)
    y_high = max(ys) if axes.y_to is None else max(axes.y_to, *ys)
    if y_low == y_high:
        y_high = y_low + (abs(y_low) or 1.0)
    x_low, x_high = min(xs), max(xs)
    if axes.diagonal:
        x_low, x_high = y_low, y_high
    return Frame(left=left, right=right, top=10, bottom=bottom, x_range=(x_low, x_high), y_range=(y_low, y_high))
