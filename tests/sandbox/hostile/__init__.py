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

__all__ = ["HOSTILE", "HOSTILE_SUBSET", "ODD_BUT_RIGHT", "POISON_AND_PROBE", "POLICY", "RIGHT"]

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

_ABOUT_THE_KERNEL = {"filesystem", "kernel", "memory", "network", "parent", "proc", "processes", "signals"}
"""Categories in which the outcome depends on the sandbox, and not only on the Python in it."""
_ALWAYS = {
    "exits/a_prefix_of_right_answers",
    "endless/loop",
    "endless/loop_in_the_last_call",
    "endless/sleep_in_last_call",
}


def _choose_subset() -> list[str]:
    """Choose every third program about the kernel and every tenth of the others."""
    chosen = []
    for category in dict.fromkeys(name.split("/")[0] for name in HOSTILE):
        names = [name for name in HOSTILE if name.startswith(f"{category}/")]
        chosen += names[:: 3 if category in _ABOUT_THE_KERNEL else 10]
    return [name for name in HOSTILE if name in _ALWAYS.union(chosen)]


HOSTILE_SUBSET = _choose_subset()
"""Names of programs of every category, for the short form of tests in a second kind of sandbox."""

ODD_BUT_RIGHT = {**odd_functions.PROGRAMS, **odd_effects.PROGRAMS, **odd_sources.PROGRAMS}
"""Odd programs that are right: each must pass."""
