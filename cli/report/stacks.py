"""Shares that add up to one, over time: stacked areas with their names at the right edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cli.report.frame import LINE_HEIGHT, Frame, kept_apart, ticks_between
from cli.report.svg import drawing, group, path, text


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A share over time, with its colour."""

    label: str
    shares: Sequence[float]
    tone: str


def stacked_shares(steps: Sequence[float], layers: Sequence[Layer], *, label: str, width: float = 380.0) -> str:
    """Draw layers from the bottom up; each has a share for each step.

    Names stand where their layer is at the last step; a layer that ends below half a percent is named no more.
    """
    if len(steps) == 1:
        steps, layers = [steps[0], steps[0] + 1], [_twice(layer) for layer in layers]
    height = 190.0
    frame = Frame(
        left=40, right=width - 130, top=8, bottom=height - 34, x_range=(steps[0], steps[-1]), y_range=(0.0, 1.0)
    )
    shapes: list[str] = []
    floor = [0.0] * len(steps)
    named: list[tuple[Layer, float]] = []
    for layer in layers:
        top = [low + share for low, share in zip(floor, layer.shares, strict=True)]
        edge = [frame.at(point) for point in zip(steps, top, strict=True)]
        base = [frame.at(point) for point in zip(steps, floor, strict=True)]
        shapes.append(group([path([*edge, *reversed(base)], class_="area", closed=True)], class_=layer.tone))
        if layer.shares[-1] >= 0.005:
            named.append((layer, frame.y((top[-1] + floor[-1]) / 2)))
        floor = top
    places = kept_apart([place for _, place in named], least=LINE_HEIGHT, low=frame.top, high=frame.bottom)
    for (layer, _), place in zip(named, places, strict=True):
        words = f"{layer.label} {100 * layer.shares[-1]:.0f}%"
        shapes.append(
            group([text((frame.right + 6, place + 3.5), words, class_="label strong")], class_=f"{layer.tone} ink")
        )
    shapes += frame.rules([0.0, 0.5, 1.0], lambda share: f"{100 * share:.0f}%")
    feet = [(step, f"{step:g}") for step in ticks_between(steps[0], steps[-1], most=4)]
    return drawing(width, height, [*shapes, *frame.feet(feet, title="step")], label=label)


def _twice(layer: Layer) -> Layer:
    return Layer(label=layer.label, shares=[layer.shares[0]] * 2, tone=layer.tone)
