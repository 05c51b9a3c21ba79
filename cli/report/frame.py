"""The frame of a plot: from values to places, ticks at round numbers, faint rules, labels that keep apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cli.report.svg import Point, line, text

LINE_HEIGHT = 13.0


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A plot's area within a picture, and what its edges stand for."""

    left: float
    right: float
    top: float
    bottom: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, value: float) -> float:
        """Place of a value from left to right."""
        return self.left + (self.right - self.left) * _share(value, self.x_range)

    def y(self, value: float) -> float:
        """Place of a value from the bottom up."""
        return self.bottom - (self.bottom - self.top) * _share(value, self.y_range)

    def at(self, point: Point) -> Point:
        """Place of both."""
        return self.x(point[0]), self.y(point[1])

    def rules(self, ticks: Sequence[float], write: Callable[[float], str]) -> list[str]:
        """Draw horizontal rules with their values at the left."""
        shapes = []
        for value in ticks:
            shapes.append(line((self.left, self.y(value)), (self.right, self.y(value)), class_="rule"))
            shapes.append(text((self.left - 5, self.y(value) + 3.5), write(value), class_="tick", anchor="end"))
        return shapes

    def feet(self, ticks: Sequence[tuple[float, str]], *, title: str = "") -> list[str]:
        """Write values under the plot, and what they are."""
        shapes = [text((self.x(x), self.bottom + 14), words, class_="tick", anchor="middle") for x, words in ticks]
        if title:
            shapes.append(text(((self.left + self.right) / 2, self.bottom + 28), title, class_="tick", anchor="middle"))
        return shapes


def ticks_between(low: float, high: float, *, most: int = 5) -> list[float]:
    """Find round values from low to high, at most so many.

    >>> ticks_between(0.0, 0.47)
    [0.0, 0.1, 0.2, 0.3, 0.4]
    """
    if not high > low:
        return [low]
    rough = (high - low) / most
    scale = 10.0 ** math.floor(math.log10(rough))
    for step in (1, 2, 2.5, 5, 10, 20):
        first = math.ceil(low / (step * scale) - 1e-9)
        last = math.floor(high / (step * scale) + 1e-9)
        if last - first < most:
            return [round(number * step * scale, 12) for number in range(first, last + 1)]
    raise AssertionError("a step of twice the power of ten above is always wide enough")


def kept_apart(places: Sequence[float], *, least: float, low: float, high: float) -> list[float]:
    """Move places as little as needed so that neighbours are `least` apart and all lie within low and high.

    Where there is no room for all, they go on below `high`.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved: list[float] = []
    for index in order:
        moved.append(max(places[index], low, moved[-1] + least if moved else low))
    ceiling = max(high, low + least * (len(places) - 1))
    for place in reversed(range(len(moved))):
        moved[place] = min(moved[place], ceiling)
        ceiling = moved[place] - least
    found = [0.0] * len(places)
    for place, index in enumerate(order):
        found[index] = moved[place]
    return found


def _share(value: float, ends: tuple[float, float]) -> float:
    return (value - ends[0]) / (ends[1] - ends[0]) if ends[1] != ends[0] else 0.5
