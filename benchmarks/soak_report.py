"""What a soak leaves to look at: samples as CSV, and a plot of them as SVG, drawn without any package."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

WIDTH, PANEL, LEFT, TOP, GAP = 760, 90, 110, 40, 34
_LABELS = {
    "memory_mib": "memory, MiB",
    "num_fds": "descriptors",
    "num_processes": "processes",
    "num_containers": "containers",
    "checks_per_s": "checks / s",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """How things stood at a time, in the process of the executor and in all that it started."""

    seconds: float
    num_checks: int
    memory_mib: float
    num_fds: int
    num_processes: int
    num_containers: int
    checks_per_s: float


def write_csv(path: Path, samples: Sequence[Sample]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)])
        writer.writeheader()
        for sample in samples:
            writer.writerow({name: round(value, 2) for name, value in asdict(sample).items()})


def write_svg(path: Path, samples: Sequence[Sample], *, title: str) -> None:
    """Draw one panel a quantity over the number of checks, each from zero."""
    height = TOP + len(_LABELS) * (PANEL + GAP)
    right = max(sample.num_checks for sample in samples) or 1
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/><text x="{LEFT}" y="22" font-size="14">{title}</text>',
    ]
    for position, (name, label) in enumerate(_LABELS.items()):
        top = TOP + position * (PANEL + GAP)
        parts += _panel([(sample.num_checks / right, getattr(sample, name)) for sample in samples], label, top)
    parts.append(f'<text x="{WIDTH - 12}" y="{height - 8}" text-anchor="end">{right} checks</text></svg>')
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _panel(points: Sequence[tuple[float, float]], label: str, top: int) -> list[str]:
    most = max(value for _, value in points) or 1.0
    span, bottom = WIDTH - LEFT - 12, top + PANEL
    line = " ".join(f"{LEFT + x * span:.1f},{bottom - value / most * (PANEL - 8):.1f}" for x, value in points)
    return [
        f'<rect x="{LEFT}" y="{top}" width="{span}" height="{PANEL}" fill="none" stroke="#ccc"/>',
        f'<text x="{LEFT - 8}" y="{top + PANEL / 2}" text-anchor="end">{label}</text>',
        f'<text x="{LEFT - 8}" y="{top + 12}" text-anchor="end" fill="#888">{most:.5g}</text>',
        f'<polyline points="{line}" fill="none" stroke="#1f6feb" stroke-width="1.5"/>',
    ]
