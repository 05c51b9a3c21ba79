"""Test inputs of a task: edge cases first, then samples from the domains of its parameters, all distinct."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from datamodules.synthesis.composition.tree import Param
from datamodules.synthesis.verification.probes import ProbeCache, spell_value
from executor.sandbox.codec import encode_value

MAX_EDGE_FRACTION = 0.25
DRAWS_PER_INPUT = 3


@dataclass(frozen=True)
class Inputs:
    """Two disjoint lists of tagged argument lists."""

    tests: tuple[list[Any], ...]
    reward_tests: tuple[list[Any], ...]

    @property
    def calls(self) -> tuple[list[Any], ...]:
        return self.tests + self.reward_tests


def draw_inputs(
    rng: Random, params: Sequence[Param], probe_cache: ProbeCache, *, num_tests: int, num_reward_tests: int
) -> Inputs | None:
    """Draw distinct inputs and divide them into tests and reward tests, edge cases in proportion.

    A domain that is too narrow is widened to the mixture of domains that probes of its type are drawn from.

    Returns:
        The inputs, or None if even the mixture holds too few values (for example a single bool).
    """
    total = num_tests + num_reward_tests
    edges = _distinct(_edge_rows(rng, params), {}, limit=int(total * MAX_EDGE_FRACTION))
    own = _distinct(_drawn_rows(rng, params, total), edges, limit=total)
    rows = list(_distinct(_widened_rows(rng, params, probe_cache, total), own, limit=total).values())
    if len(rows) < total:
        return None
    stride = total / num_reward_tests
    chosen = {int(i * stride) for i in range(num_reward_tests)}
    return Inputs(
        tests=tuple(row for i, row in enumerate(rows) if i not in chosen),
        reward_tests=tuple(row for i, row in enumerate(rows) if i in chosen),
    )


def _edge_rows(rng: Random, params: Sequence[Param]) -> Iterator[list[Any]]:
    edges = [param.domain.edges() for param in params]
    for i in range(max(len(values) for values in edges)):
        yield [values[i % len(values)] for values in edges]
    for _ in range(sum(len(values) for values in edges)):
        yield [rng.choice(values) for values in edges]


def _drawn_rows(rng: Random, params: Sequence[Param], total: int) -> Iterator[list[Any]]:
    for _ in range(DRAWS_PER_INPUT * total):
        yield [param.domain.sample(rng) for param in params]


def _widened_rows(rng: Random, params: Sequence[Param], probe_cache: ProbeCache, total: int) -> Iterator[list[Any]]:
    for _ in range(DRAWS_PER_INPUT * total):
        yield [rng.choice(probe_cache.mixture(param.type_name)).sample(rng) for param in params]


def _distinct(rows: Iterator[list[Any]], known: dict[str, list[Any]], *, limit: int) -> dict[str, list[Any]]:
    found = dict(known)
    for row in rows if len(found) < limit else ():
        tagged = [encode_value(value) for value in row]
        found.setdefault(spell_value(tagged), tagged)
        if len(found) >= limit:
            break
    return found
