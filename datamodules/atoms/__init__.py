"""The hundred atomic functions: ten topics of ten. `ATOMS` maps a name to its record."""

from datamodules.atoms import (
    arithmetic,
    bits,
    grids,
    lists,
    mappings,
    number_theory,
    recursion,
    sorting,
    strings,
    text,
)
from datamodules.atoms.registry import Atom, collect_atoms

TOPICS = (arithmetic, number_theory, bits, strings, text, lists, sorting, recursion, grids, mappings)
ATOMS = collect_atoms(TOPICS)

__all__ = ["ATOMS", "Atom"]
