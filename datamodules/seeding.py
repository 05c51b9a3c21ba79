"""Randomness as a pure function of a key: every draw depends on (seed, purpose, index) and never on earlier draws.

A generator seeded with `seed + index` would make neighbouring seeds share nearly all their items, so the state is a
SHA-256 hash of everything that identifies the draw.
"""

from hashlib import sha256
from random import Random

import numpy as np


def keyed_random(seed: int, purpose: str, *index: int | str) -> Random:
    """Return a generator for the draw identified by (`seed`, `purpose`, `*index`)."""
    return Random(int.from_bytes(_hash(seed, purpose, *index), "big"))


def keyed_fraction(seed: int, purpose: str, *index: int | str) -> float:
    """Draw a number of [0, 1) that depends on nothing but its arguments."""
    return (int.from_bytes(_hash(seed, purpose, *index), "big") >> 203) / (1 << 53)


def permutation(size: int, *key: object) -> np.ndarray:
    """[size] Return a permutation of `range(size)` that depends on nothing but its arguments."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(_hash(*key)[:16], "big"))).permutation(size)


def _hash(*key: object) -> bytes:
    return sha256(repr(key).encode()).digest()
