"""Where randomness comes from: every draw is a function of (seed, purpose, index), never of history.

`Random(seed + index)` would make neighbouring seeds share nearly all their items, so the generator's state is a
SHA-256 hash of everything that names the draw.
"""

from hashlib import sha256
from random import Random


def generator(seed: int, purpose: str, *index: int | str) -> Random:
    """Make a generator for the draw named by (`seed`, `purpose`, `*index`)."""
    return Random(_digest(seed, purpose, *index))


def fraction(seed: int, purpose: str, *index: int | str) -> float:
    """Draw a number of [0, 1) that depends on nothing but its arguments."""
    return (_digest(seed, purpose, *index) >> 203) / (1 << 53)


def _digest(*name: int | str) -> int:
    return int.from_bytes(sha256(repr(name).encode()).digest(), "big")
