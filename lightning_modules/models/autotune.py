"""How this machine computes best: its number of CPU threads, and whether bfloat16 pays, by measurement.

Nothing is kept here: `run_record` keeps the choice of a run, `cli.config.ranks` decides when to measure.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

TIE = 1.10
"""A lower count of threads is chosen where it takes at most this many times as long as the fastest."""
BF16_GAIN = 1.3
"""How many times as fast as float32 a product of matrices must be in bfloat16 on a CPU before it is used."""
_NUM_ROWS, _WIDTH, _INNER = 4096, 256, 704
_NUM_BF16_ROWS = 512  # few: a processor without bfloat16 may take a hundred times as long


class Measured(NamedTuple):
    """What was found, and from what."""

    num_threads: int
    has_fast_bf16: bool
    step_s: dict[int, float]
    """Seconds of a small training step, by number of threads."""
    bf16_gain: float
    """Seconds of a product of matrices in float32 over those in bfloat16."""


def measure(max_threads: int) -> Measured:
    """Measure the CPU, in about a second; the number of threads of torch is left as it was.

    Args:
        max_threads: the most this process may use.
    """
    threads_before = torch.get_num_threads()
    try:
        step_s = {count: _step_s(count) for count in thread_counts(max_threads)}
        num_threads = fastest(step_s)
        torch.set_num_threads(num_threads)
        gain = _bf16_gain()
    finally:
        torch.set_num_threads(threads_before)
    return Measured(num_threads, gain >= BF16_GAIN, step_s, gain)


def num_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def thread_counts(max_threads: int) -> list[int]:
    """List what is tried: powers of two, and the most there may be."""
    powers = [1 << k for k in range(max_threads.bit_length())]
    return sorted({*powers, max_threads})


def fastest(step_s: Mapping[int, float]) -> int:
    """Choose the lowest count of threads that is as fast as any, but for `TIE`."""
    return min(count for count, seconds in step_s.items() if seconds <= TIE * min(step_s.values()))


def has_fast_bf16(accelerator: str = "auto") -> bool:
    """Whether bfloat16 pays on what `accelerator` of a Trainer names: the GPU where there is one, else the CPU."""
    if uses_cuda(accelerator):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return accelerator in ("auto", "cpu") and _bf16_gain() >= BF16_GAIN


def uses_cuda(accelerator: str) -> bool:
    """Whether a Trainer with this `accelerator` computes on CUDA here."""
    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def _step_s(num_threads: int) -> float:
    """Time forward and backward of a gated feed-forward block, seconds."""
    torch.set_num_threads(num_threads)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(_NUM_ROWS, _WIDTH, generator=generator)
    wide = torch.randn(_WIDTH, _INNER, generator=generator).requires_grad_()
    back = torch.randn(_INNER, _WIDTH, generator=generator).requires_grad_()

    def step() -> None:
        (torch.nn.functional.silu(rows @ wide) @ back).mean().backward()

    return _shortest_s(step, num_trials=3)


def _bf16_gain() -> float:
    generator = torch.Generator().manual_seed(0)
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        rows = torch.randn(_NUM_BF16_ROWS, _WIDTH, generator=generator).to(dtype)
        weights = torch.randn(_WIDTH, _INNER, generator=generator).to(dtype)
        seconds[dtype] = _shortest_s(lambda rows=rows, weights=weights: rows @ weights, num_trials=7)
    return seconds[torch.float32] / seconds[torch.bfloat16]


def _shortest_s(work: Callable[[], object], *, num_trials: int) -> float:
    """Time `work` after one trial that does not count."""
    work()
    seconds = []
    for _ in range(num_trials):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
