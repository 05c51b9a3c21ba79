"""SVG by pure functions: shapes in, text out. Colours come from CSS classes, so that a page can be dark or light."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

Point = tuple[float, float]


def element(name: str, *children: str, **attributes: str | float) -> str:
    """Write an element; `class_` and `text_anchor` become `class` and `text-anchor`. Children are SVG already."""
    written = "".join(f' {_attribute(key)}="{escape(_value(value))}"' for key, value in attributes.items())
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def drawing(width: float, height: float, shapes: Iterable[str], *, label: str) -> str:
    """Put shapes into a picture that scales to the width it is given; `label` is what a screen reader says."""
    return element(
        "svg",
        *shapes,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_value(width)} {_value(height)}",
        role="img",
        aria_label=label,
    )


def text(at: Point, words: str, *, class_: str = "label", anchor: str = "start") -> str:
    """Write words at their baseline; anchor is start, middle or end."""
    return element("text", escape(words, quote=False), x=at[0], y=at[1], class_=class_, text_anchor=anchor)


def line(start: Point, end: Point, *, class_: str) -> str:
    """Draw a straight line."""
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_)


def path(corners: Iterable[Point], *, class_: str, closed: bool = False) -> str:
    """Draw a line through corners, or the area they close."""
    steps = " ".join(f"{'M' if index == 0 else 'L'}{_value(x)} {_value(y)}" for index, (x, y) in enumerate(corners))
    return element("path", d=steps + ("Z" if closed else ""), class_=class_)


def circle(centre: Point, radius: float, *, class_: str) -> str:
    """Draw a dot."""
    return element("circle", cx=centre[0], cy=centre[1], r=radius, class_=class_)


def group(shapes: Iterable[str], *, class_: str) -> str:
    """Give shapes a class together, such as a colour."""
    return element("g", *shapes, class_=class_)


def _attribute(key: str) -> str:
    return key if key == "viewBox" else key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}".rstrip("0").rstrip(".")
