"""The worker keeps nothing of a program: not its source, arguments or results, in no object and in no freed memory.

Every program is forked from the worker's memory, so what stays there can be read by the programs that follow. The
memory is looked at from outside, which takes root, and from within.
"""

import os
import time
from pathlib import Path

import pytest

from executor.api import grade, open_local
from executor.grading.tasks import parse_task
from executor.types import Limits, Run, Status, Submission

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
[child] = [thing for thing in found if type(thing).__name__ == "Child"]
"""
THIEVES = {
    "results": f"{WALKS_TO_THE_WORKER}os.write(3, bytes(child.results)); os._exit(0)",
    "source": f"{WALKS_TO_THE_WORKER}exec(child._program['source'], globals())",
}


@pytest.fixture
def opened():
    if os.geteuid() != 0:
        pytest.skip("not root: another process's memory cannot be looked at")
    with open_local("bubblewrap", num_workers=1) as executor:
        yield executor


def children_of(pid: int) -> list[int]:
    """Processes started by any thread of a process."""
    return [int(pid) for path in Path(f"/proc/{pid}/task").glob("*/children") for pid in path.read_text().split()]


def workers() -> list[int]:
    """Find the workers of this process's sandboxes, once no program runs in them any more."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [pid for outer in children_of(os.getpid()) for pid in children_of(outer)]
        if found and not any(children_of(pid) for pid in found):
            return found
        time.sleep(0.05)
    raise TimeoutError("programs do not end")


def memory_of(pid: int) -> bytes:
    """Read all that a process can write to."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(part, 16) for part in place.split("-"))
                memory.seek(start)
                found.append(memory.read(end - start))
    return b"\0".join(found)


def kept(mark: str) -> list[bytes]:
    """Find what the workers have kept, with what stands around it."""
    found = []
    for pid in workers():
        memory, position = memory_of(pid), 0
        assert b"owns_namespace" in memory  # it is the worker, and its memory can be read
        while (position := memory.find(mark.encode(), position)) >= 0:
            found.append(memory[position - 20 : position + 40])
            position += 1
    return found


@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS)
def test_nothing_of_a_program_stays(opened, source):
    run = Run(source=source, entry_point="solve", calls=([f"{MARK}argument"],) * 3)
    last = Run(source=LEAVES_NO_MARK, entry_point="solve", calls=([1],))
    opened.run([run, last], Limits(cpu_time_s=1.0, wall_time_s=3.0))
    assert opened.stats().num_replaced == 0
    assert kept(MARK) == []


def test_nothing_of_a_session_stays(opened):
    check = f"def check(f):\n    for i in range(50):\n        assert f('{MARK}argument') == '{MARK}argument' * 50\n"
    task = parse_task({"task_id": "t", "entry_point": "solve", "check": check})
    right, wrong = (f"def solve(x):  # {MARK}source\n    return x * {times}\n" for times in (50, 49))
    outcomes = grade(opened, [Submission(task=task, completion=text) for text in (right, wrong)], PATIENT)
    assert [outcome.status for outcome in outcomes] == [Status.PASSED, Status.WRONG]
    assert len(workers()) >= 3  # the pool's and a pair
    assert kept(MARK) == []


@pytest.mark.parametrize("source", THIEVES.values(), ids=THIEVES)
def test_a_program_cannot_state_what_its_reference_returned(executor, source):
    """The reference runs in the same sandbox, just before."""
    submission = Submission(task=SQUARES, completion=f"```python\n{source}\n```")
    [outcome] = grade(executor, [submission], PATIENT)
    assert outcome.status is Status.LOAD_ERROR
    assert outcome.num_passed == 0
