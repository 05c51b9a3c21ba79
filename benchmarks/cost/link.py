"""Times the sum over two ranks of this machine (gloo): one long message, and one so short that only its way counts."""

import tempfile
import time
from pathlib import Path
from statistics import median

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from benchmarks.cost.machines import Link

NUM_TRIALS = 15


def measure_link(num_bytes: int) -> Link:
    """Sum float32 numbers over two processes and read off rate and latency.

    Args:
        num_bytes: of the long message; a rank of two receives as many in a ring.
    """
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_rank, (folder, num_bytes), nprocs=2)  # pyright: ignore[reportPrivateImportUsage]
        long_s, short_s = (float(word) for word in Path(folder, "found").read_text(encoding="utf-8").split())
    return Link(bytes_per_s=num_bytes / max(1e-9, long_s - short_s), latency_s=short_s / 2)


def _rank(rank: int, folder: str, num_bytes: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    seconds = [_seconds(torch.ones(size)) for size in (num_bytes // 4, 1)]
    if rank == 0:
        Path(folder, "found").write_text(f"{seconds[0]} {seconds[1]}", encoding="utf-8")
    dist.destroy_process_group()


def _seconds(numbers: torch.Tensor) -> float:
    trials = []
    for _ in range(NUM_TRIALS):
        dist.barrier()
        started_at = time.perf_counter()
        dist.all_reduce(numbers)
        trials.append(time.perf_counter() - started_at)
    return median(trials)
