"""Pictures of matplotlib as SVG for the inside of an HTML page: colours and fonts are CSS variables of the page.

matplotlib draws in placeholder colours, which `to_svg` replaces by the variables, so that one picture serves the light
and the dark scheme. Sizes are in CSS pixels.
"""

from __future__ import annotations

import io
import re
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

NUM_COLORS = 6
"""Of stages; all others are `PLAIN`."""
PLAIN = "plain"
PLACEHOLDERS = {
    name: f"#{number:02x}fe{number:02x}"
    for number, name in enumerate(
        [
            *("ink", "soft", "rule", "ground", "verdict", PLAIN),
            *(f"stage{number}" for number in range(NUM_COLORS)),
            *("fail-none", *(f"fail{number}" for number in range(5))),
        ],
        start=1,
    )
}
"""Colour that stands for each CSS variable."""
_STYLE: Any = {
    "font.size": 11,
    "svg.fonttype": "none",
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.spines.bottom": False,
    "axes.axisbelow": True,
    "path.simplify": True,
}


def new_axes(
    width: float, height: float, *, left: float, right: float, top: float, bottom: float
) -> tuple[Figure, Axes]:
    """Return a picture of a size with one plot inside of margins, without spines and tick marks."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72))
        FigureCanvasSVG(figure)
        box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
        axes = figure.add_axes(box)
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    axes.tick_params(labelcolor=PLACEHOLDERS["soft"], labelsize=10.5, left=False, bottom=False, pad=4)
    return figure, axes


def get_size(axes: Axes) -> tuple[float, float]:
    """Return width and height of the picture, pixels."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    width, height = figure.get_size_inches() * 72
    return float(width), float(height)


def to_svg(figure: Figure, label: str) -> str:
    """Return the picture as an inline `svg` element that scales to the width of its container."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[\w.]+_\d+"| transform="rotate\(-0 [^"]*"', "", svg)  # of groups; ids of markers are hashes
    svg = re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", svg)
    svg = re.sub(r"font: (\S+ )?([\d.]+px) [^;\"]*", r"font: \1\2 var(--sans)", svg)
    for name, placeholder in PLACEHOLDERS.items():
        svg = svg.replace(placeholder, f"var(--{name})")
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    size = figure.get_size_inches() * 72
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'viewBox="0 0 {size[0]:g} {size[1]:g}" aria-label="{escape(label)}">'
    )
    return head + svg[svg.index(">") + 1 :].strip()
