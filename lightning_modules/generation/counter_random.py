"""Random numbers that are a function of what they are for, not of what was drawn before.

A draw is named by (seed, iteration, sample, position), so samples do not depend on the batch they are decoded in, on
the number of processes, or on whether a run was resumed. Not for cryptography.
"""

import numpy as np
from numpy.typing import NDArray


def uniforms(seed: int, iteration: int, sample_ids: NDArray[np.uint64], position: int) -> NDArray[np.float64]:
    """One number in [0, 1) for each sample, with 53 random bits.

    Args:
        seed: Seed of the run.
        iteration: Iteration of reinforcement learning, or 0.
        sample_ids: [B] one id a sample.
        position: Index of the token within its response.

    Returns:
        [B] the numbers.
    """
    key = _mix(_mix(np.array([seed & _MASK], dtype=np.uint64)) ^ np.uint64(iteration & _MASK))
    hashed = _mix(_mix(key ^ sample_ids.astype(np.uint64)) ^ np.uint64(position))
    return (hashed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def derived_seed(*numbers: int) -> int:
    """Make one 64-bit seed of several numbers, for torch's own generators (dropout)."""
    state = np.zeros(1, dtype=np.uint64)
    for number in numbers:
        state = _mix(state ^ np.uint64(number & _MASK))
    return int(state[0])


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """[B] -> [B]: one step of splitmix64 (Steele, Lea and Flood 2014), a bijection of 64-bit integers."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


_MASK = 0xFFFFFFFFFFFFFFFF
