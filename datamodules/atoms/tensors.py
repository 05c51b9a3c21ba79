"""The atoms over tensors, apart from the hundred: `TENSOR_ATOMS` maps a name to its record."""

from datamodules.atoms import ATOMS, tensor_algebra, tensor_maps
from datamodules.atoms.registry import collect_atoms

TENSOR_ATOMS = collect_atoms((tensor_maps, tensor_algebra))
assert not set(TENSOR_ATOMS) & set(ATOMS), "a tensor atom has the name of another atom"
