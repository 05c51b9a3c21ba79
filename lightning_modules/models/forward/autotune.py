"""Benchmarks of this machine: the fastest number of CPU threads, and whether bfloat16 is worthwhile.

The result is recorded by `training.run_record`; `cli.config` decides when to measure.
"""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

TOLERANCE = 1.10
"""The lowest thread count that takes at most this many times as long as the fastest is chosen."""
MIN_BF16_SPEEDUP = 1.3
"""Speedup of a matrix product from which bfloat16 is used on a CPU."""
_NUM_ROWS, _WIDTH, _INNER = 4096, 256, 704
_NUM_BF16_ROWS = 512  # few, because processors without bfloat16 can be a hundred times slower


class CpuBenchmark(NamedTuple):
    """Choices, and the measurements behind them."""

    num_threads: int
    has_fast_bf16: bool
    step_s: dict[int, float]
    """Seconds of a small training step, by number of threads."""
    bf16_speedup: float
    """Seconds of a matrix product in float32 divided by those in bfloat16."""


def benchmark_cpu(max_threads: int) -> CpuBenchmark:
    """Measure the CPU in about a second, without changing torch's number of threads.

    Args:
        max_threads: highest number of threads to try.
    """
    threads_before = torch.get_num_threads()
    try:
        step_s = {count: _measure_step_s(count) for count in list_thread_counts(max_threads)}
        num_threads = choose_num_threads(step_s)
        torch.set_num_threads(num_threads)
        speedup = _measure_bf16_speedup()
    finally:
        torch.set_num_threads(threads_before)
    return CpuBenchmark(num_threads, speedup >= MIN_BF16_SPEEDUP, step_s, speedup)


def list_thread_counts(max_threads: int) -> list[int]:
    """Return the thread counts to try: powers of two, and the maximum."""
    return sorted({*(1 << k for k in range(max_threads.bit_length())), max_threads})


def choose_num_threads(step_s: Mapping[int, float]) -> int:
    """Return the lowest number of threads within `TOLERANCE` of the fastest.

    Args:
        step_s: seconds by number of threads.
    """
    return min(count for count, seconds in step_s.items() if seconds <= TOLERANCE * min(step_s.values()))


def has_fast_bf16(accelerator: str = "auto") -> bool:
    """Whether bfloat16 is worthwhile on an `accelerator` of the Trainer: the GPU if there is one, else the CPU."""
    if uses_cuda(accelerator):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return accelerator in ("auto", "cpu") and _measure_bf16_speedup() >= MIN_BF16_SPEEDUP


def uses_cuda(accelerator: str) -> bool:
    """Whether a Trainer with this `accelerator` uses CUDA on this machine."""
    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def _measure_step_s(num_threads: int) -> float:
    """Time the forward and backward pass of a gated feed-forward block, seconds."""
    torch.set_num_threads(num_threads)
    rows, up, down = torch.ones(_NUM_ROWS, _WIDTH), torch.ones(_WIDTH, _INNER), torch.ones(_INNER, _WIDTH)
    weights = up.requires_grad_(), down.requires_grad_()

    def step() -> None:
        (torch.nn.functional.silu(rows @ weights[0]) @ weights[1]).mean().backward()

    return _measure_shortest_s(step, num_trials=3)


def _measure_bf16_speedup() -> float:
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        rows, weights = torch.ones(_NUM_BF16_ROWS, _WIDTH, dtype=dtype), torch.ones(_WIDTH, _INNER, dtype=dtype)
        seconds[dtype] = _measure_shortest_s(lambda rows=rows, weights=weights: rows @ weights, num_trials=7)
    return seconds[torch.float32] / seconds[torch.bfloat16]


def _measure_shortest_s(work: Callable[[], object], *, num_trials: int) -> float:
    """Time `work` after one warm-up run."""
    work()
    seconds = []
    for _ in range(num_trials):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
