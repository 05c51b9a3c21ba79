"""The sandbox of the profile cuda without a GPU: no device is bound, everything else is real."""

import dataclasses

import pytest

from executor.backends import bubblewrap
from executor.backends.bubblewrap import BubblewrapBackend
from executor.backends.profiles import _CUDA_PROCESSES, _CUDA_SPEC, load_profile
from executor.pool import canary
from executor.pool.pool import SandboxPool
from executor.types import Limits, Run
from tests.support.optional import needs_torch

LIMITS = Limits(cpu_time_s=10.0, wall_time_s=30.0, memory_bytes=256 << 20)
HOST_BYTES = 128 << 20
FILL = """
def solve(mib):
    block = bytearray(mib << 20)
    block[:: 4096] = bytes(len(block[:: 4096])) .replace(b"\\0", b"1")
    return len(block) >> 20
"""
LOOK = """
import os, resource
def solve(n):
    with open(f"/proc/self/task/{os.getpid()}/comm", "w") as file:
        file.write("renamed")
    readable = [name for name in ("mem", "environ", "fd") if os.access(f"/proc/1/{name}", os.R_OK)]
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    return {
        "comm": open("/proc/self/comm").read().strip(), "readable": readable, "pids": len(pids),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0], "sys": os.path.isdir("/sys/devices/system/cpu"),
        "visible": os.environ["CUDA_VISIBLE_DEVICES"],
    }
"""
TOO_MUCH = "import torch\ndef solve(n): raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB')"


@pytest.fixture(scope="module")
def pool():
    """A pool of profile cuda whose device nodes are missing."""
    with pytest.MonkeyPatch.context() as patch:
        torch = load_profile("torch")
        profile = dataclasses.replace(
            torch,
            spec={**torch.spec, **_CUDA_SPEC, "host_bytes": HOST_BYTES, "cuda": "GPU-none"},
            needs_proc=True,
            max_processes=_CUDA_PROCESSES,
        )
        patch.setattr(bubblewrap, "load_profile", lambda name: profile)
        patch.setitem(canary._PROFILE_LINES, "cuda", "")
        opened = SandboxPool(BubblewrapBackend(profile="cuda"), num_workers=1, profile="cuda")
        yield opened
        opened.close()


def run_all(pool, *programs):
    runs = [Run(source=source, entry_point="solve", calls=([value],), profile="cuda") for source, value in programs]
    return pool.run(runs, LIMITS)


@needs_torch
def test_main_memory_is_limited_although_addresses_are_not(pool):
    small, large = run_all(pool, (FILL, 100), (FILL, 1500))
    assert (small.failure, small.results and small.results[0].value) == (None, 100)
    assert large.failure == "memory"


@needs_torch
def test_driver_finds_proc_and_sys_and_the_worker_stays_closed(pool):
    [found] = run_all(pool, (LOOK, 1))
    assert found.results, found
    assert found.results[0].value == {
        "comm": "renamed", "readable": [], "pids": 2, "files": 1024, "sys": True, "visible": "GPU-none",
    }  # fmt: skip


@needs_torch
def test_full_gpu_counts_as_memory(pool):
    [found] = run_all(pool, (TOO_MUCH, 1))
    assert [result.error for result in found.results] == ["MemoryError"]
