"""The worker keeps nothing of a program, neither in objects nor in freed memory: no source, arguments or results.

Every program is forked from the worker's memory, so later programs could read what stays there. The tests search that
memory from outside, which requires root, and from within. They look only at sandboxes that they started.
"""

import os
import time
from pathlib import Path

import pytest

from executor.api import grade, open_local
from executor.backends.bubblewrap import BubblewrapBackend
from executor.grading.tasks import parse_task
from executor.types import Limits, Run, Status, Submission
from tests.support.sandbox_driver import SandboxDriver

PATIENT = Limits(cpu_time_s=10.0, wall_time_s=30.0)
MARK = "Qv7-kept-"
"""In every text of a program that the worker could keep."""
PROGRAMS = {
    "a result": f"def solve(x): return x + '{MARK}result'",
    "long results": f"def solve(x): return '{MARK}result' * 20_000",
    "too long a result": f"def solve(x): return '{MARK}result' * 100_000",
    "no program": f"raise ValueError('{MARK}load error')",
    "a broken line": f"import os\ndef solve(x): os.write(3, b'{MARK}line'); os._exit(3)",
    "a timeout": f"def solve(x):\n    print('{MARK}loop')\n    while True: pass",
    "names of files": f"import os\ndef solve(x):\n    for i in range(40): os.makedirs(f'{MARK}{{i}}', exist_ok=True)",
}
LEAVES_NO_MARK = "def solve(x): return 1"
SQUARES = parse_task(
    {
        "task_id": "squares",
        "entry_point": "solve",
        "reference": "def solve(x): return x * x + 7",
        "inputs": [[5], [77], [123]],
    }
)
WALKS_TO_THE_WORKER = """
import os, sys
frame, found = sys._getframe(), []
while frame is not None:
    found += frame.f_locals.values()
    frame = frame.f_back
[worker] = [value for value in found if type(value).__name__ == "Worker"]
kept = bytes(worker._results._bytes + worker._pending_calls._bytes).strip(bytes(1))
"""
THIEVES = {
    "results": f"{WALKS_TO_THE_WORKER}assert kept; os.write(3, kept); os._exit(0)",
    "child": f"{WALKS_TO_THE_WORKER}[child] = [value for value in found if type(value).__name__ == 'ChildProcess']",
    "source": f"{WALKS_TO_THE_WORKER}exec(worker._program['source'], globals())",
}


@pytest.fixture
def root_pids(monkeypatch):
    """First processes of the sandboxes that this test starts."""
    found = []
    start = BubblewrapBackend.start

    def start_and_record(backend):
        sandbox = start(backend)
        found.append(sandbox.root_pid)
        return sandbox

    monkeypatch.setattr(BubblewrapBackend, "start", start_and_record)
    return found


@pytest.fixture
def opened(root_pids):
    if os.geteuid() != 0:
        pytest.skip("not root: the memory of another process cannot be read")
    with open_local("bubblewrap", num_workers=1) as executor:
        yield executor


def children_of(pid: int) -> list[int]:
    """Find the processes started by any thread of a process."""
    return [int(pid) for path in Path(f"/proc/{pid}/task").glob("*/children") for pid in path.read_text().split()]


def workers(root_pids: list[int]) -> list[int]:
    """Find the workers of sandboxes, once no program runs in them any more."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [pid for root in root_pids for pid in children_of(root)]
        if found and not any(children_of(pid) for pid in found):
            return found
        time.sleep(0.05)
    raise TimeoutError("programs do not end")


def memory_of(pid: int) -> bytes:
    """Read all writable memory of a process."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(part, 16) for part in place.split("-"))
                memory.seek(start)
                found.append(memory.read(end - start))
    return b"\0".join(found)


def find_in_workers(mark: str, root_pids: list[int]) -> list[bytes]:
    """Find a text in the memory of workers, with its surroundings."""
    found = []
    for pid in workers(root_pids):
        memory, position = memory_of(pid), 0
        assert b"owns_namespace" in memory  # it is the worker, and its memory can be read
        while (position := memory.find(mark.encode(), position)) >= 0:
            found.append(memory[position - 20 : position + 40])
            position += 1
    return found


@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS)
def test_worker_memory_contains_nothing_of_a_program(opened, root_pids, source):
    run = Run(source=source, entry_point="solve", calls=([f"{MARK}argument"],) * 3)
    last = Run(source=LEAVES_NO_MARK, entry_point="solve", calls=([1],))
    opened.run([run, last], Limits(cpu_time_s=1.0, wall_time_s=3.0))
    assert opened.stats().num_replaced == 0
    assert find_in_workers(MARK, root_pids) == []


STDIN_PROGRAMS = {
    "output": f"print(input() + '{MARK}printed')",
    "much output": f"print('{MARK}printed' * 100_000)",
    "too much output": f"while True: print('{MARK}printed')",
    "an exception": f"class Qv7Kept(ValueError): pass\nraise Qv7Kept('{MARK}message')",
    "a timeout": f"import time\nkept = input() + '{MARK}'\ntime.sleep(9)",
}


@pytest.mark.parametrize("source", STDIN_PROGRAMS.values(), ids=STDIN_PROGRAMS)
def test_worker_memory_contains_nothing_of_a_stdin_program(root_pids, source):
    if os.geteuid() != 0:
        pytest.skip("not root: the memory of another process cannot be read")
    driver = SandboxDriver(BubblewrapBackend())
    try:
        program = {"prelude": f"kept = '{MARK}prelude'", "files": {f"{MARK}name": f"{MARK}text"}}
        for _ in range(2):
            driver.run_stdin(source, f"{MARK}input\n" * 100, program=program, wall_time_s=1.0)
        driver.run_stdin("print(1)", "")
        assert driver.num_replaced == 0
        assert find_in_workers(MARK, root_pids) == []
    finally:
        driver.close()


def test_worker_memory_contains_nothing_of_a_session(opened, root_pids):
    check = f"def check(f):\n    for i in range(50):\n        assert f('{MARK}argument') == '{MARK}argument' * 50\n"
    task = parse_task({"task_id": "t", "entry_point": "solve", "check": check})
    right, wrong = (f"def solve(x):  # {MARK}source\n    return x * {times}\n" for times in (50, 49))
    outcomes = grade(opened, [Submission(task=task, completion=text) for text in (right, wrong)], PATIENT)
    assert [outcome.status for outcome in outcomes] == [Status.PASSED, Status.WRONG]
    assert len(workers(root_pids)) == 2  # for the program and for the check
    assert find_in_workers(MARK, root_pids) == []


@pytest.mark.parametrize("source", THIEVES.values(), ids=THIEVES)
def test_program_cannot_return_the_results_of_its_reference(executor, source):
    """The reference runs in the same sandbox right before the program."""
    submission = Submission(task=SQUARES, completion=f"```python\n{source}\n```")
    [outcome] = grade(executor, [submission], PATIENT)
    assert outcome.status is Status.LOAD_ERROR
    assert outcome.num_passed == 0
