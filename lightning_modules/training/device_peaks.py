"""What the device of a rank can do, and what the rank has taken of its memory."""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

import resource
import time

import torch
from lightning.fabric.utilities.throughput import get_available_flops

_GEMM_SIZE = 1024
_NUM_TRIALS = 5


def training_dtype(precision: str) -> torch.dtype:
    """Find in what numbers the matrix products of a Trainer's precision (`bf16-mixed`, `32-true`, ...) are made."""
    if precision.startswith("bf16"):
        return torch.bfloat16
    return {"16": torch.float16, "64": torch.float64}.get(precision.partition("-")[0], torch.float32)


def peak_flops_per_s(device: torch.device, dtype: torch.dtype) -> float | None:
    """Return the most floating point operations a second of one device; None for a GPU that Lightning does not know.

    Of a GPU it is the maker's number, of a CPU what a matrix product reaches, with the threads of this process.
    """
    return measured_gemm_flops_per_s(dtype) if device.type == "cpu" else get_available_flops(device, dtype)


def measured_gemm_flops_per_s(dtype: torch.dtype) -> float:
    """Multiply two matrices on the CPU a few times, and return the rate of the fastest product."""
    square = torch.ones(_GEMM_SIZE, _GEMM_SIZE, dtype=dtype)
    durations_s = []
    for _ in range(_NUM_TRIALS):
        started_at = time.perf_counter()
        torch.mm(square, square)
        durations_s.append(time.perf_counter() - started_at)
    return 2 * _GEMM_SIZE**3 / min(durations_s)


def peak_memory_mib(device: torch.device) -> float:
    """Return the most memory so far: allocated on a GPU, else resident of this process (Linux counts it in KiB)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
