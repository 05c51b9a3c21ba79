"""The plot of the scaling page as SVG, drawn without any package, in colours of the reader's light or dark mode."""

import math
from pathlib import Path

from benchmarks.cost.sizes import QWEN_1_5B
from benchmarks.cost.tables import DDP_1X8, DDP_4X8, ONE, TIME_PARTS, computed

WIDTH, HEIGHT = 860, 420
LEFT, TOP, BOTTOM = 64, 64, 360
LINES_WIDTH, BARS_LEFT, BARS_WIDTH = 330, 500, 330
LAYOUTS = (ONE, DDP_1X8, DDP_4X8)
SAMPLES = tuple(256 * 2**i for i in range(6))
BAR_SAMPLES = 4096
_STYLE = """
:root { --ink: #1f2328; --faint: #d0d7de; --paper: #ffffff;
  --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; --c4: #cf222e; --c5: #9a6700; --c6: #6e7781; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --faint: #3d444d; --paper: #0d1117;
  --c0: #58a6ff; --c1: #f0883e; --c2: #3fb950; --c3: #bc8cff; --c4: #ff7b72; --c5: #d29922; --c6: #9198a1; } }
text { fill: var(--ink); }
"""


def write_svg(path: Path) -> None:
    """Draw seconds of an iteration over responses for three layouts, and what they go into at the right end."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="Seconds of an iteration, computed for GPUs"><style>{_STYLE}</style>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="var(--paper)"/>',
        f'<text x="{LEFT}" y="22" font-size="14">PPO on {QWEN_1_5B.name}: computed from assumed constants of an H100, '
        "not measured</text>",
        *_lines(),
        *_bars(),
        "</svg>",
    ]
    beside = path.with_suffix(".part")
    beside.write_text("\n".join(parts) + "\n", encoding="utf-8")
    beside.replace(path)


def _lines() -> list[str]:
    """Seconds over responses, both on logarithmic axes."""
    curves = [[computed(QWEN_1_5B, layout, n).total for n in SAMPLES] for layout in LAYOUTS]
    low = 10 ** math.floor(math.log10(min(map(min, curves))))
    high = 10 ** math.ceil(math.log10(max(map(max, curves))))

    def y_of(seconds: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * math.log(seconds / low) / math.log(high / low)

    def x_of(num_samples: float) -> float:
        return LEFT + LINES_WIDTH * math.log(num_samples / SAMPLES[0]) / math.log(SAMPLES[-1] / SAMPLES[0])

    parts = [f'<text x="{LEFT}" y="{TOP - 14}">seconds of an iteration</text>']
    tick = low
    while tick <= high:
        y = y_of(tick)
        parts.append(f'<path d="M{LEFT} {y:.1f}h{LINES_WIDTH}" stroke="var(--faint)"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        tick *= 10
    for n in SAMPLES:
        parts.append(f'<text x="{x_of(n):.1f}" y="{BOTTOM + 18}" text-anchor="middle">{n}</text>')
    parts.append(f'<text x="{LEFT + LINES_WIDTH / 2}" y="{BOTTOM + 38}" text-anchor="middle">responses</text>')
    for dashes, layout, curve in zip(("none", "7 4", "2 4"), LAYOUTS, curves, strict=True):
        places = " ".join(f"{x_of(n):.1f},{y_of(s):.1f}" for n, s in zip(SAMPLES, curve, strict=True))
        stroke = f'stroke="var(--ink)" stroke-width="2" stroke-dasharray="{dashes}"'
        parts.append(f'<polyline points="{places}" fill="none" {stroke}/>')
        parts += [
            f'<circle cx="{x_of(n):.1f}" cy="{y_of(s):.1f}" r="3" fill="var(--ink)"/>'
            for n, s in zip(SAMPLES, curve, strict=True)
        ]
        parts.append(f'<text x="{LEFT + LINES_WIDTH + 8}" y="{y_of(curve[-1]) + 4:.1f}">{layout.name}</text>')
    return parts


def _bars() -> list[str]:
    """Shares of an iteration, one bar a layout."""
    parts = [f'<text x="{BARS_LEFT}" y="{TOP - 14}">where the time goes at {BAR_SAMPLES} responses</text>']
    for row, layout in enumerate(LAYOUTS):
        time = computed(QWEN_1_5B, layout, BAR_SAMPLES)
        x, y = float(BARS_LEFT), TOP + 26 + row * 66
        parts.append(f'<text x="{BARS_LEFT}" y="{y - 8}">{layout.name}, {time.total:.0f} s</text>')
        for number, part in enumerate(TIME_PARTS):
            width = BARS_WIDTH * getattr(time, part) / time.total
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="26" fill="var(--c{number})"/>')
            x += width
    for number, part in enumerate(TIME_PARTS):
        x, y = BARS_LEFT + (number % 3) * 110, BOTTOM - 58 + (number // 3) * 22
        parts.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="var(--c{number})"/>')
        parts.append(f'<text x="{x + 18}" y="{y + 11}">{part}</text>')
    return parts
