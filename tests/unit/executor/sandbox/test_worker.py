"""The worker in a plain process, spoken to in frames: what it reads, what it leaves to the candidate's process."""

import os
import subprocess

import pytest

from executor.backends.base import SANDBOX_DIR, worker_command
from executor.sandbox.framing import pack_frame, read_frame

LIMITS = {"cpu_time_s": 10.0, "wall_time_s": 30.0, "memory_bytes": 256 << 20, "output_bytes": 1000}
DOUBLE = pack_frame({"source": "def solve(x): return 2 * x", "entry_point": "solve"}, b"[[2], [5]]")


@pytest.fixture
def worker(tmp_path):
    box = {"uid": None, "max_processes": None, "scratch": str(tmp_path), "owns_namespace": False}
    command = worker_command(SANDBOX_DIR, box)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert read_frame(process.stdout.fileno()) == ({"ready": True}, b"")
        yield process
        process.kill()


def asked(worker, header, body=DOUBLE):
    os.write(worker.stdin.fileno(), pack_frame({"id": 7, **LIMITS, **header}, body))
    return read_frame(worker.stdout.fileno())


def test_one_program_after_another(worker):
    for _ in range(2):
        reply, body = asked(worker, {})
        assert body == b"v4\nv10\n"
        assert {name: reply[name] for name in ("id", "end", "exit_code", "clean")} == {
            "id": 7, "end": None, "exit_code": 0, "clean": True
        }  # fmt: skip


def test_a_cap_on_output_leaves_what_lies_within_it(worker):
    reply, body = asked(worker, {"output_bytes": 3})
    assert (reply["end"], body) == ("output_limit", b"v4\n")


@pytest.mark.parametrize(
    ("header", "body", "why"),
    [
        ({"memory_bytes": 1 << 70}, DOUBLE, "OverflowError: "),  # the kernel's limits have 64 bits
        ({"cpu_time_s": "soon"}, DOUBLE, "TypeError: "),
        ({}, pack_frame({"source": "def solve(): return 1", "entry_point": "solve"}, b"no JSON"), "JSONDecodeError: "),
    ],
)
def test_a_fault_before_the_program_is_no_verdict_and_ends_the_worker(worker, header, body, why):
    reply, told = asked(worker, header, body)
    assert (reply["end"], reply["exit_code"], reply["clean"], told) == ("fault", 70, False, b"")
    assert reply["why"].startswith(why)
    assert worker.wait(10) == 0


def test_no_program_can_state_a_fault(worker):
    source = "import os\nos.write(3, b'fOSError: no sandbox')\nos._exit(70)"
    reply, body = asked(worker, {}, pack_frame({"source": source, "entry_point": "solve"}, b"[[1]]"))
    assert (reply["end"], reply["exit_code"], reply["clean"], body) == (None, 70, True, b"fOSError: no sandbox")


def test_it_ends_with_its_host_even_within_a_frame(worker):
    os.write(worker.stdin.fileno(), pack_frame({"id": 7, **LIMITS}, DOUBLE)[:-4])
    worker.stdin.close()
    reply, _ = read_frame(worker.stdout.fileno())
    assert (reply["end"], reply["clean"]) == ("fault", False)
    assert worker.wait(10) == 0
