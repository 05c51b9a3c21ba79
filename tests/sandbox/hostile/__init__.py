"""Hostile programs, odd but right ones, pairs that leak and look, and our policy on values. A module a category.

Each hostile program gives its best to be taken for right, to take the judge down, or to reach what is not its own;
none may pass. All are for the task `solve(n) == n * n + 1`.
"""

from tests.sandbox.hostile import (
    endless,
    exits,
    filesystem,
    frames,
    judge,
    kernel,
    lookalikes,
    memory,
    network,
    odd_effects,
    odd_functions,
    odd_sources,
    output,
    parent,
    proc,
    processes,
    signals,
    sources,
)
from tests.sandbox.hostile.pairs import POISON_AND_PROBE
from tests.sandbox.hostile.policy import POLICY
from tests.sandbox.hostile.record import RIGHT

__all__ = ["HOSTILE", "ODD_BUT_RIGHT", "POISON_AND_PROBE", "POLICY", "RIGHT"]

_CATEGORIES = (
    exits, signals, endless, memory, processes, output, lookalikes, sources, frames, judge, parent, filesystem, proc,
    network, kernel,
)  # fmt: skip

HOSTILE: dict[str, tuple[set[str], str]] = {
    f"{module.__name__.rpartition('.')[2]}/{name}": (set(statuses.split()), source)
    for module in _CATEGORIES
    for name, (statuses, source) in module.PROGRAMS.items()
}
"""Name to the statuses allowed (none: all but passed and infra) and the source."""

ODD_BUT_RIGHT = {**odd_functions.PROGRAMS, **odd_effects.PROGRAMS, **odd_sources.PROGRAMS}
"""Odd programs that are right: each must pass."""
