"""The library of a task: functions that a program may call without defining them.

Only what a program names is put before it, so a large library costs nothing to programs that use little of it.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

_NAME = re.compile(r"[^\W\d]\w*")


def select_from_library(library: Mapping[str, str], source: str) -> str:
    """Return the sources of the functions that a program names, and of those that these name, in library order.

    Args:
        library: source by name; each source defines that name at its top level.
        source: of the program. A name counts wherever it occurs, in comments and strings too.
    """
    found: set[str] = set()
    named = library.keys() & set(_NAME.findall(source))
    while named:
        found |= named
        named = (library.keys() & set().union(*(_find_names(library[name]) for name in named))) - found
    return join_sources(library[name] for name in library if name in found)


def join_sources(sources: Iterable[str]) -> str:
    """Join top-level definitions, two blank lines apart; empty for none."""
    return "".join(f"{source.rstrip()}\n\n\n" for source in sources)


@lru_cache(maxsize=4096)
def _find_names(source: str) -> frozenset[str]:
    return frozenset(_NAME.findall(source))
