"""Type-directed sampling of compositions: slots are filled with atoms of a matching return type, or with leaves.

Scalar leaves may be constants of the slot's domain; all others are parameters of the program. Nothing is rejected here
for its results: `verification` drops degenerate compositions after they have run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from datamodules.atoms import Atom
from datamodules.atoms.registry import Parameter
from datamodules.synthesis.composition.tree import Call, Constant, Node, Param, steps

MAX_PARAMETERS = 3
MAX_STEPS = 8
CONSTANT_TYPES = ("int", "str", "bool")
CONSTANT_PROBABILITY = 0.45
SHARED_PARAMETER_PROBABILITY = 0.15
BRANCH_PROBABILITY = 0.25


@dataclass(frozen=True)
class AtomSampler:
    """The atoms a stream may use; `favoured` ones are drawn half of the time where one of them fits."""

    atoms: tuple[Atom, ...]
    favoured: frozenset[str] = frozenset()
    producers: dict[str, tuple[Atom, ...]] = field(init=False, repr=False)
    """Atoms by return type."""

    def __post_init__(self) -> None:
        types = dict.fromkeys(atom.return_type for atom in self.atoms)
        object.__setattr__(
            self, "producers", {name: tuple(a for a in self.atoms if a.return_type == name) for name in types}
        )

    def sample(self, rng: Random, candidates: tuple[Atom, ...]) -> Atom:
        """Draw one of the candidates."""
        if self.favoured and rng.random() < 0.5:
            favoured = [atom for atom in candidates if atom.name in self.favoured]
            if favoured:
                return rng.choice(favoured)
        return rng.choice(candidates)


def sample_tree(rng: Random, sampler: AtomSampler, *, depth: int) -> Call | None:
    """Draw a composition of `depth` levels with at most three parameters and eight steps; None for a dead end."""
    leaves = _LeafSampler(rng)
    tree = _grow(sampler.sample(rng, sampler.atoms), sampler, leaves, depth=depth)
    return tree if tree is not None and leaves.parameters and len(steps(tree)) <= MAX_STEPS else None


def _grow(atom: Atom, sampler: AtomSampler, leaves: _LeafSampler, *, depth: int) -> Call | None:
    """Fill the slots of `atom`: one slot carries the depth, the others branch or end in leaves.

    Calls are drawn before leaves, so that parameters are numbered in the order in which the program reads them.
    """
    rng = leaves.rng
    args: list[Node | None] = [None] * len(atom.parameters)
    open_slots = [i for i, slot in enumerate(atom.parameters) if slot.type_name in sampler.producers]
    if depth > 1:
        if not open_slots:
            return None
        spine = rng.choice(open_slots)
        for i in open_slots:
            if i == spine or rng.random() < BRANCH_PROBABILITY:
                inner = sampler.sample(rng, sampler.producers[atom.parameters[i].type_name])
                level = depth - 1 if i == spine else rng.randint(1, depth - 1)
                args[i] = _grow(inner, sampler, leaves, depth=level)
                if args[i] is None:
                    return None
    empty = [i for i, arg in enumerate(args) if arg is None]
    anchor = rng.choice(empty) if len(empty) == len(args) else None
    filled = [arg if arg is not None else leaves.sample(atom.parameters[i], anchor == i) for i, arg in enumerate(args)]
    complete = tuple(arg for arg in filled if arg is not None)
    return Call(atom, complete) if len(complete) == len(filled) else None


@dataclass
class _LeafSampler:
    """Draws leaves and records the parameters created so far."""

    rng: Random
    parameters: list[Param] = field(default_factory=list)

    def sample(self, slot: Parameter, must_vary: bool) -> Node | None:
        """Draw a constant or a parameter for `slot`; None if all parameters exist and no constant fits."""
        constant_fits = slot.type_name in CONSTANT_TYPES and not must_vary
        if constant_fits and self.rng.random() < CONSTANT_PROBABILITY:
            return Constant(slot.domain.sample(self.rng))
        alike = [param for param in self.parameters if param.type_name == slot.type_name]
        full = len(self.parameters) == MAX_PARAMETERS
        if alike and (full or self.rng.random() < SHARED_PARAMETER_PROBABILITY):
            return self.rng.choice(alike)
        if not full:
            self.parameters.append(Param(len(self.parameters), slot.type_name, slot.domain))
            return self.parameters[-1]
        return Constant(slot.domain.sample(self.rng)) if constant_fits else None
