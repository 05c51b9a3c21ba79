"""Rows of dots with intervals and a small mark for every seed; a row's label stands above it, its number beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cli.report.frame import Frame, ticks_between
from cli.report.svg import circle, drawing, group, line, text
from lightning_modules.evaluation.statistics import Interval

WIDTH = 380.0
_ROW = 40.0
_MARK_ROOM = 60.0
"""What the words beside a marked value need."""


@dataclass(frozen=True, kw_only=True)
class DotRow:
    """A mean with its interval, over seeds."""

    label: str
    interval: Interval
    by_seed: Sequence[float]
    tone: str
    """CSS class of its colour."""
    words: str
    """Its number, written."""


def dot_rows(
    rows: Sequence[DotRow],
    *,
    write: Callable[[float], str],
    label: str,
    marked: Sequence[tuple[float, str]] = (),
) -> str:
    """Draw rows over one axis.

    Args:
        rows: from top to bottom.
        write: how the axis writes a value.
        label: for screen readers.
        marked: values with a rule of their own, and what they are; 0 is always on the axis.
    """
    reached = [0.0, *(value for value, _ in marked)]
    for row in rows:
        reached += [row.interval.low, row.interval.high, *row.by_seed]
    low, high = min(reached), max(reached)
    room = 0.04 * (high - low) or 0.5
    ends = (low - room if low < 0 else low, high + room)
    bottom = 6 + _ROW * len(rows) + (14 if marked else 0)
    frame = Frame(left=10, right=WIDTH - 10, top=4, bottom=bottom, x_range=ends, y_range=(0, 1))
    ticks = ticks_between(*ends)
    shapes = [line((frame.x(tick), frame.top), (frame.x(tick), frame.bottom), class_="rule") for tick in ticks]
    shapes += frame.feet([(tick, write(tick)) for tick in ticks])
    if ends[0] <= 0 <= ends[1]:
        shapes.append(line((frame.x(0), frame.top), (frame.x(0), frame.bottom), class_="axis"))
    for value, words in marked:
        shapes.append(line((frame.x(value), frame.top), (frame.x(value), frame.bottom), class_="mark"))
        near_end = frame.x(value) > frame.right - _MARK_ROOM
        beside = frame.x(value) + (-4 if near_end else 4)
        shapes.append(text((beside, frame.bottom - 4), words, class_="tick", anchor="end" if near_end else "start"))
    for place, row in enumerate(rows):
        shapes.append(_row(row, frame, y=frame.top + _ROW * place + 28))
    return drawing(WIDTH, bottom + 20, shapes, label=label)


def _row(row: DotRow, frame: Frame, *, y: float) -> str:
    low, high = frame.x(row.interval.low), frame.x(row.interval.high)
    shapes = [
        text((frame.left, y - 12), row.label, class_="label strong"),
        text((frame.right, y - 12), row.words, class_="label", anchor="end"),
        line((low, y), (high, y), class_="whisker"),
        line((low, y - 4), (low, y + 4), class_="whisker"),
        line((high, y - 4), (high, y + 4), class_="whisker"),
    ]
    if len(row.by_seed) > 1:
        shapes += [line((frame.x(v), y + 5), (frame.x(v), y + 10), class_="seed") for v in row.by_seed]
    return group([*shapes, circle((frame.x(row.interval.mean), y), 4.5, class_="dot")], class_=row.tone)
