"""The atomic functions by name: `ATOMS`, ten topics of ten, and `TENSOR_ATOMS` over tensors."""

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
    tensor_algebra,
    tensor_maps,
    text,
)
from datamodules.atoms.registry import Atom, collect_atoms

TOPICS = (arithmetic, number_theory, bits, strings, text, lists, sorting, recursion, grids, mappings)
ATOMS = collect_atoms(TOPICS)
TENSOR_ATOMS = collect_atoms((tensor_maps, tensor_algebra))
assert not set(TENSOR_ATOMS) & set(ATOMS), "a tensor atom has the name of another atom"

__all__ = ["ATOMS", "TENSOR_ATOMS", "Atom"]
