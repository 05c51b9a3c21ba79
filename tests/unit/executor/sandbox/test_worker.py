"""The worker as a plain process: requests, replies, and faults before a program starts."""

import os
import subprocess

import pytest

from executor.backends.base import SANDBOX_DIR, worker_command
from executor.sandbox.framing import pack_frame, read_frame

LIMITS = {"cpu_time_s": 10.0, "wall_time_s": 30.0, "memory_bytes": 256 << 20, "output_bytes": 1000}
DOUBLE = pack_frame({"source": "def solve(x): return 2 * x", "entry_point": "solve"}, b"[[2], [5]]")


@pytest.fixture
def worker(tmp_path):
    spec = {"uid": None, "max_processes": None, "scratch": str(tmp_path), "owns_namespace": False}
    command = worker_command(SANDBOX_DIR, spec)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert read_frame(process.stdout.fileno()) == ({"ready": True}, b"")
        yield process
        process.kill()


def exchange(worker, header, body=DOUBLE):
    os.write(worker.stdin.fileno(), pack_frame({"id": 7, **LIMITS, **header}, body))
    return read_frame(worker.stdout.fileno())


def test_worker_runs_several_programs(worker):
    for _ in range(2):
        reply, body = exchange(worker, {})
        assert body == b"v4\nv10\n"
        assert {name: reply[name] for name in ("id", "end", "exit_code", "clean")} == {
            "id": 7, "end": None, "exit_code": 0, "clean": True
        }  # fmt: skip


def test_output_limit_keeps_the_output_within_it(worker):
    reply, body = exchange(worker, {"output_bytes": 3})
    assert (reply["end"], body) == ("output_limit", b"v4\n")


@pytest.mark.parametrize(
    ("header", "body", "why"),
    [
        ({"memory_bytes": 1 << 70}, DOUBLE, "OverflowError: "),  # the kernel's limits have 64 bits
        ({"cpu_time_s": "soon"}, DOUBLE, "TypeError: "),
        ({}, pack_frame({"source": "def solve(): return 1", "entry_point": "solve"}, b"no JSON"), "JSONDecodeError: "),
    ],
)
def test_fault_before_the_program_is_reported_and_ends_the_worker(worker, header, body, why):
    reply, output = exchange(worker, header, body)
    assert (reply["end"], reply["exit_code"], reply["clean"], output) == ("fault", 70, False, b"")
    assert reply["why"].startswith(why)
    assert worker.wait(10) == 0


def test_program_cannot_report_a_fault(worker):
    source = "import os\nos.write(3, b'fOSError: no sandbox')\nos._exit(70)"
    reply, body = exchange(worker, {}, pack_frame({"source": source, "entry_point": "solve"}, b"[[1]]"))
    assert (reply["end"], reply["exit_code"], reply["clean"], body) == (None, 70, True, b"fOSError: no sandbox")


def test_worker_exits_when_the_host_closes_the_stream_within_a_frame(worker):
    os.write(worker.stdin.fileno(), pack_frame({"id": 7, **LIMITS}, DOUBLE)[:-4])
    worker.stdin.close()
    reply, _ = read_frame(worker.stdout.fileno())
    assert (reply["end"], reply["clean"]) == ("fault", False)
    assert worker.wait(10) == 0


ECHO = pack_frame({"source": "def solve(x, y=0): return [x, y]", "entry_point": "solve"}, b"[]")


def send(worker, header, body=b""):
    os.write(worker.stdin.fileno(), pack_frame(header, body))


def test_session_relays_calls_and_lines_until_it_is_ended(worker):
    replies_fd = worker.stdout.fileno()
    send(worker, {"id": 7, "session": "candidate", **LIMITS}, ECHO)
    assert read_frame(replies_fd) == ({"id": 7, "lines": True}, b"rnull\n")
    for call, line in [(b'[[1], {"y": {"$complex": [0.0, 2.0]}}]\n', b'v[1,{"$complex":[0.0,2.0]}]\n')] * 2:
        send(worker, {"call": True}, call)
        assert read_frame(replies_fd) == ({"id": 7, "lines": True}, line)
    send(worker, {"end": True})
    reply, body = read_frame(replies_fd)
    assert (reply["end"], reply["clean"], body) == (None, True, b"")


def test_call_after_the_end_of_its_session_is_discarded(worker):
    source = "import os\ndef solve(x): os._exit(3)"
    send(worker, {"id": 7, "session": "candidate", **LIMITS}, pack_frame({"source": source, "entry_point": "solve"}))
    assert read_frame(worker.stdout.fileno())[1] == b"rnull\n"
    send(worker, {"call": True}, b"[[1], {}]\n")
    reply, _ = read_frame(worker.stdout.fileno())
    assert (reply["exit_code"], reply["clean"]) == (3, True)
    send(worker, {"call": True}, b"[[2], {}]\n")
    assert exchange(worker, {})[1] == b"v4\nv10\n"


def test_check_harness_sends_calls_and_its_final_line(worker):
    check = b'{"prompt": null, "entry_point": "solve", "check": "def check(f): assert f(2) == 4"}'
    send(worker, {"id": 7, "session": "tester", **LIMITS}, pack_frame({}, check))
    assert read_frame(worker.stdout.fileno())[1] == b"c[[2], {}]\n"
    send(worker, {"call": True}, b"v5\n")
    lines = b""
    while not lines:  # the final line may come with the reply or in a frame of its own
        header, lines = read_frame(worker.stdout.fileno())
    assert lines == b'w"AssertionError"\n'


@pytest.mark.parametrize(
    ("limits", "source", "end"),
    [
        ({"wall_time_s": 0.2}, "import time\ndef solve(x): time.sleep(60)", "timeout"),
        ({"cpu_time_s": 0.2}, "def solve(x):\n    while True: pass", "timeout"),
        ({"output_bytes": 10}, "def solve(x): return 'x' * 100", "output_limit"),
    ],
)
def test_exceeded_limit_ends_the_program_and_not_the_worker(worker, limits, source, end):
    reply, _ = exchange(worker, limits, pack_frame({"source": source, "entry_point": "solve"}, b"[[1]]"))
    assert (reply["end"], reply["clean"]) == (end, True)
    assert exchange(worker, {})[1] == b"v4\nv10\n"


def test_scratch_is_emptied_after_each_program(worker, tmp_path):
    source = (
        "import os\ndef solve(x):\n    for _ in range(50):\n        os.mkdir('d')\n        os.chdir('d')\n"
        "    open('file', 'w').close()\n    os.chmod('.', 0)\n    return 1"
    )
    reply, body = exchange(worker, {}, pack_frame({"source": source, "entry_point": "solve"}, b"[[1]]"))
    assert (body, reply["clean"]) == (b"v1\n", True)
    assert list(tmp_path.iterdir()) == []
