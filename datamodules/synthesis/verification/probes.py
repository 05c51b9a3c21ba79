"""Probes: the fixed inputs on which the behaviour of programs is compared.

Probes are a function of the parameter types, the atoms' declared domains and a fixed seed, so two programs with equal
parameter types run on the same inputs whatever their split or data set. They have two properties:

- They are closed under permutations of parameters of one type. The outputs of a program with permuted parameters are a
  permutation of its outputs, so one run suffices to compute a fingerprint that is equal for both.
- They hold many pairs that differ in one argument alone, which reveal a parameter without influence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import permutations
from random import Random
from typing import Any

from datamodules.atoms import Atom
from datamodules.atoms.domains import Domain, Floats, Ints, default_domain
from datamodules.seeding import keyed_random
from executor.sandbox.codec import encode_value

PROBE_SEED = 2406_10305
NUM_PROBES = 256
EDGE_PROBABILITY = 0.15
_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True)
class Probes:
    """The probes of one tuple of parameter types.

    `calls[i]` are the tagged arguments of probe i; `pairs[p]` are the (i, j) whose arguments differ at parameter p
    alone; each of `orders` lists, for one permutation of the parameters, the probe that becomes probe i.
    """

    type_names: tuple[str, ...]
    calls: tuple[list[Any], ...]
    pairs: tuple[tuple[tuple[int, int], ...], ...]
    orders: tuple[tuple[int, ...], ...]


class ProbeCache:
    """Creates the probes of a signature when they are first needed, and keeps them.

    Args:
        atoms: atoms whose declared domains the probes are drawn from.
    """

    def __init__(self, atoms: Mapping[str, Atom]) -> None:
        slots = [slot for atom in atoms.values() for slot in atom.parameters]
        self._domains: dict[str, tuple[Domain, ...]] = {}
        for name in dict.fromkeys(slot.type_name for slot in slots):
            declared = {repr(slot.domain): slot.domain for slot in slots if slot.type_name == name}
            self._domains[name] = tuple({**_default(name), **declared, **_wide(name)}.values())
        self._probes: dict[tuple[str, ...], Probes] = {}

    def mixture(self, type_name: str) -> tuple[Domain, ...]:
        """Return the domains that probes of a type are drawn from, in equal proportion.

        Raises:
            ValueError: no atom has a parameter of this type, and the type has no default domain.
        """
        if type_name not in self._domains:
            self._domains[type_name] = (default_domain(type_name),)
        return self._domains[type_name]

    def probes(self, type_names: Sequence[str]) -> Probes:
        """Return the probes for parameters of these types; another order of the types permutes their arguments."""
        key = tuple(type_names)
        if key not in self._probes:
            order = sorted(range(len(key)), key=key.__getitem__)
            ordered = tuple(key[i] for i in order)
            ranks = {position: rank for rank, position in enumerate(order)}
            rows = [[row[ranks[i]] for i in range(len(key))] for row in _draw_rows(ordered, self)]
            self._probes[key] = _index_rows(key, rows)
        return self._probes[key]


def fingerprint(probes: Probes, outputs: Sequence[str]) -> str:
    """Hash a program's outputs on the probes; programs that differ only in the order of parameters have equal hashes.

    Args:
        probes: of the program's parameter types.
        outputs: canonical spelling of the value or exception on each probe.
    """
    hashes = (sha256("\n".join([outputs[i] for i in order]).encode()).hexdigest() for order in probes.orders)
    return f"{','.join(sorted(probes.type_names))}#{min(hashes)}"


def spell_value(value: Any) -> str:
    """Write a tagged value canonically as JSON: independent of the order of sets and dictionaries."""
    text = _ENCODE(value)
    return _ENCODE(_sorted(value)) if '"$set"' in text or '"$dict"' in text else text


def _sorted(value: Any) -> Any:
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    if isinstance(value, dict):
        inner = {key: _sorted(item) for key, item in value.items()}
        return {key: sorted(item, key=_ENCODE) if key in ("$set", "$dict") else item for key, item in inner.items()}
    return value


def _default(type_name: str) -> dict[str, Domain]:
    try:
        domain = default_domain(type_name)
    except ValueError:
        return {}
    return {repr(domain): domain}


def _wide(type_name: str) -> dict[str, Domain]:
    """Return a wide domain for scalars: results of atoms reach further than the declared domains."""
    wide: dict[str, Domain] = {"int": Ints(-300, 1000), "float": Floats(-500.0, 500.0)}
    return {repr(wide[type_name]): wide[type_name]} if type_name in wide else {}


def _draw(rng: Random, domains: tuple[Domain, ...]) -> Any:
    domain = rng.choice(domains)
    return rng.choice(domain.edges()) if rng.random() < EDGE_PROBABILITY else domain.sample(rng)


def _draw_rows(type_names: tuple[str, ...], cache: ProbeCache) -> list[list[Any]]:
    """Draw blocks (a row and, for each parameter, the row with that argument redrawn), closed under permutation."""
    rng = keyed_random(PROBE_SEED, "probes", *type_names)
    domains = [cache.mixture(name) for name in type_names]
    rows: dict[str, list[Any]] = {}
    for _ in range(8 * NUM_PROBES):
        base = [encode_value(_draw(rng, choices)) for choices in domains]
        block = [base]
        if len(base) > 1:
            for i, choices in enumerate(domains):
                block.append([*base[:i], encode_value(_draw(rng, choices)), *base[i + 1 :]])
        for row in block:
            for order in _permutations(type_names):
                permuted = [row[i] for i in order]
                rows.setdefault(spell_value(permuted), permuted)
        if len(rows) >= NUM_PROBES:
            break
    return list(rows.values())


def _permutations(type_names: tuple[str, ...]) -> list[tuple[int, ...]]:
    positions = range(len(type_names))
    return [
        order
        for order in permutations(positions)
        if all(type_names[i] == type_names[j] for i, j in zip(order, positions, strict=True))
    ]


def _index_rows(type_names: tuple[str, ...], rows: list[list[Any]]) -> Probes:
    keys = {spell_value(row): i for i, row in enumerate(rows)}
    orders = tuple(
        tuple(keys[spell_value([row[i] for i in order])] for row in rows) for order in _permutations(type_names)
    )
    pairs = []
    for position in range(len(type_names)):
        alike: dict[str, list[int]] = {}
        for i, row in enumerate(rows):
            alike.setdefault(spell_value([*row[:position], *row[position + 1 :]]), []).append(i)
        pairs.append(tuple((group[0], other) for group in alike.values() for other in group[1:]))
    return Probes(type_names, tuple(rows), tuple(pairs), orders)
