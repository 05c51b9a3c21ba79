"""A composition is a typed tree: calls of atoms over parameters and constants.

This module holds the tree and its structural properties. It neither draws trees (`sample`) nor writes them as programs
(`render`) or prompts (`wording.prompts`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from datamodules.atoms import Atom
from datamodules.atoms.domains import Domain
from datamodules.synthesis.composition.canonical import CONSTANT, Form, write_skeleton

ENTRY_POINT = "solve"


@dataclass(frozen=True)
class Param:
    """The parameter at position `index` of the entry point; test values come from `domain`."""

    index: int
    type_name: str
    domain: Domain


@dataclass(frozen=True)
class Constant:
    """A literal int, str or bool."""

    value: Any


@dataclass(frozen=True)
class Call:
    """An atom applied to one argument for each of its parameters."""

    atom: Atom
    args: tuple[Node, ...]


Node = Call | Param | Constant


def depth(node: Node) -> int:
    """Count levels of calls: 0 for a leaf, 1 for an atom over leaves."""
    if not isinstance(node, Call):
        return 0
    return 1 + max((depth(arg) for arg in node.args), default=0)


def steps(tree: Call) -> list[Call]:
    """Return all calls in order of evaluation, the root last."""
    return list(_iter_post_order(tree))


def parameters(tree: Call) -> tuple[Param, ...]:
    """Return the distinct parameters by index."""
    found = {arg.index: arg for call in steps(tree) for arg in call.args if isinstance(arg, Param)}
    return tuple(found[index] for index in sorted(found))


def distinct_atoms(tree: Call) -> list[Atom]:
    """Return the atoms of the tree, each once, in order of first evaluation."""
    return list({call.atom.name: call.atom for call in steps(tree)}.values())


def skeleton(tree: Call) -> str:
    """Return the skeleton (`canonical`) of the tree, such as `sort(rotate(P0, C))`."""
    return write_skeleton(_form(tree))


def build_depth_one(atom: Atom) -> Call:
    """Build the composition of a single atom: a call over one parameter for each of the atom's own."""
    leaves = tuple(Param(index, slot.type_name, slot.domain) for index, slot in enumerate(atom.parameters))
    return Call(atom, leaves)


def shortcuts(tree: Call) -> list[Call]:
    """Return the compositions in which one step is replaced by one of its arguments of the same type."""
    found = []
    for step in steps(tree)[:-1]:
        for arg in step.args:
            if not isinstance(arg, Constant) and get_type(arg) == step.atom.return_type:
                shorter = _replace(tree, step, arg)
                assert isinstance(shorter, Call)
                found.append(shorter)
    return found


def get_type(node: Call | Param) -> str:
    """Return the type of a call's result or of a parameter."""
    return node.type_name if isinstance(node, Param) else node.atom.return_type


def _replace(node: Node, old: Call, new: Node) -> Node:
    if node is old:
        return new
    return Call(node.atom, tuple(_replace(arg, old, new) for arg in node.args)) if isinstance(node, Call) else node


def _iter_post_order(call: Call) -> Iterator[Call]:
    for arg in call.args:
        if isinstance(arg, Call):
            yield from _iter_post_order(arg)
    yield call


def _form(node: Node) -> Form:
    if isinstance(node, Call):
        return (node.atom.name, tuple(_form(arg) for arg in node.args))
    return f"P{node.index}" if isinstance(node, Param) else CONSTANT
