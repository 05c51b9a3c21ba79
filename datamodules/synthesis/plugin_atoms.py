"""Atoms from outside the package: modules of the user's, named in the configuration of a data set.

A module holds functions under `datamodules.atoms.registry.atom`, like ours. They join the hundred; the build runs them
and refuses what cannot be a task.
"""

from collections.abc import Mapping, Sequence

from datamodules.atoms import ATOMS, Atom
from datamodules.atoms.registry import collect_atoms
from executor.backends.plugin import load_module

_WHAT = "plugin_atoms"


def atoms_with(modules: Sequence[str]) -> Mapping[str, Atom]:
    """Return the hundred atoms, and behind them those of the modules, by name.

    Raises:
        ValueError: a module is missing, does not import or holds no atom, or a name is taken; one line.
    """
    if not modules:
        return ATOMS
    atoms = dict(ATOMS)
    for path in modules:
        found = collect_atoms([load_module(path, what=_WHAT)])
        if not found:
            raise ValueError(f"{_WHAT}: {path} holds no atom; write functions under datamodules.atoms.registry.atom")
        if taken := [name for name in found if name in atoms]:
            raise ValueError(f"{_WHAT}: {path}: there is an atom called {taken[0]} already; give it another name")
        atoms.update(found)
    return atoms
