"""Checks in workers without a sandbox around them: outcomes, times, failures, and to what they are attributed."""

import os
import signal
import threading
import time

import pytest

from executor.backends.process import ProcessBackend
from executor.pool.pool import SandboxPool
from executor.types import Limits, Status, Task

LIMITS = Limits(cpu_time_s=5.0, wall_time_s=20.0)
CHECK = "def check(candidate):\n    for x in range(4):\n        assert candidate(x) == x + 1\n"
RIGHT = "def solve(x): return x + 1"
SLEEPS = "import time\ndef solve(x): time.sleep(15)"
RIGHT_IN_0_2_S = "import time\ndef solve(x):\n    time.sleep(0.05)\n    return x + 1"


def task(check=CHECK):
    return Task(task_id="t", entry_point="solve", check=check)


class Outcomes:
    """Collects the outcomes of futures."""

    def __init__(self):
        self.found = []
        self.changed = threading.Condition()

    def __call__(self, future):
        if future.cancelled():
            return
        with self.changed:
            self.found.append(future.result())
            self.changed.notify_all()

    def wait(self, count=1):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.found) >= count, timeout=60), self.found
            return self.found


class RecordingBackend(ProcessBackend):
    """Keeps what it started; fails when told."""

    def __init__(self, num_failures=0):
        super().__init__()
        self.started = []
        self.num_failures = num_failures
        self.num_tried = 0

    def start(self):
        self.num_tried += 1
        if self.num_tried <= self.num_failures:
            raise OSError("no room")
        self.started.append(super().start())
        return self.started[-1]


@pytest.fixture(scope="module")
def runner():
    opened = SandboxPool(ProcessBackend(), num_workers=1)
    yield opened
    opened.close()


def judge(runner, source, check=CHECK, limits=LIMITS):
    return runner.queue().submit_check(task(check), source, limits).result(timeout=60)


@pytest.mark.parametrize(
    ("source", "status"),
    [
        (RIGHT, Status.PASSED),
        ("def solve(x): return float(x + 1)", Status.PASSED),  # the check compares by ==
        ("def solve(x): return x", Status.WRONG),
        ("def solve(x): return [x for _ in (1,)][0] / (x - 2)", Status.WRONG),
        ("def solve(x): return x + 1 + 0 // (x - 2)", Status.EXCEPTION),
        ("def solve(x): raise AssertionError", Status.EXCEPTION),
        ("def solve(x): raise SystemExit(0)", Status.EXCEPTION),
        ("def solve(x): raise MemoryError", Status.MEMORY),
        ("def solve(x): return x + 1 if x < 2 else object()", Status.WRONG),
        ("def solve(x): return (1 << (1 << 23)) if x else 1", Status.OUTPUT_LIMIT),
        ("def solve(x): return 'x' * (2 << 20)", Status.OUTPUT_LIMIT),
        ("def solve(x:", Status.LOAD_ERROR),
        ("def other(x): return x + 1", Status.LOAD_ERROR),
        ("raise KeyError", Status.LOAD_ERROR),
        ("import os; os._exit(0)", Status.CRASH),
        ("import os\ndef solve(x): os._exit(0)", Status.CRASH),
        ("import os\ndef solve(x): os.abort()", Status.CRASH),
        ("x = 1 # " + "y" * (257 << 10), Status.SOURCE_TOO_LONG),
    ],
)
def test_verdicts(runner, source, status):
    outcome = judge(runner, source)
    assert outcome.status is status, outcome
    assert (outcome.num_passed, outcome.num_tests) == (int(status is Status.PASSED), 1)
    assert judge(runner, RIGHT).passed  # and the next program is none the worse


def test_an_answer_that_cannot_be_read_is_the_program_s_crash(runner, monkeypatch):
    def read(kind, text, *, extended=False):
        raise OverflowError("none of those that readers expect")

    monkeypatch.setattr("executor.pool.check_session.parse_result", read)
    outcome = judge(runner, RIGHT)
    assert outcome.status is Status.CRASH
    assert "malformed" in outcome.detail


@pytest.mark.parametrize(
    "check",
    [
        "def check(c):\n    try: c(1)\n    finally: return\n",
        "def check(c):\n    while True:\n        try: c(1)\n        except BaseException: pass\n        else: return\n",
    ],
)
def test_a_value_no_test_can_hold_decides_whatever_the_check_does(runner, check):
    assert judge(runner, "def solve(x): return object()", check).status is Status.WRONG


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("def check(c:", "does not load"),
        ("def check(c): c(print)", "cannot be passed on"),
        ("import os\ndef check(c): os._exit(3)", "exit code 3"),
        ("import os\ndef check(c): os.write(3, b'c[1]\\n'); c(1)", "malformed call"),
        ("import os\ndef check(c): os.write(3, b'c[[{\"$x\": 1}], {}]\\n'); c(1)", "malformed call"),
        ("import os\ndef check(c): os.write(3, b'?\\n')", "at fault"),
        ("def check(c):\n    while True: pass\n", "ran out of time"),
    ],
)
def test_a_fault_of_the_check_is_no_verdict(runner, check, words):
    outcome = judge(runner, RIGHT, check, Limits(cpu_time_s=0.2, wall_time_s=0.3))
    assert outcome.status is Status.INFRA
    assert "task t" in outcome.detail
    assert words in outcome.detail
    assert outcome.num_passed == 0


@pytest.mark.parametrize(
    ("check", "status"),
    [
        ("def check(c):\n    c(0)\n    while True: pass", Status.TIMEOUT),
        ("import os\ndef check(c):\n    c(0)\n    os.kill(os.getpid(), 9)", Status.CRASH),
    ],
)
def test_what_a_check_dies_of_after_an_answer_is_the_program_s_doing(runner, check, status):
    """Else a program could buy itself a mask by returning what its check cannot bear."""
    outcome = judge(runner, RIGHT, check, Limits(cpu_time_s=0.2, wall_time_s=0.3))
    assert outcome.status is status, outcome
    assert "with what the program returned" in outcome.detail


def test_each_side_has_its_own_time(runner):
    slow_check = "import time\ndef check(c):\n    time.sleep(0.8)\n    assert c(1) == 2\n    time.sleep(0.8)\n"
    limits = Limits(cpu_time_s=0.5, wall_time_s=0.6)
    passed = judge(runner, RIGHT, slow_check, limits)
    assert passed.passed, passed
    assert passed.duration_s < 0.5
    slow = "import time\ndef solve(x):\n    time.sleep(0.25)\n    return x + 1"
    assert judge(runner, slow, limits=limits).status is Status.TIMEOUT  # four calls of 0.25 s
    assert judge(runner, "import time; time.sleep(9)\n" + RIGHT, limits=limits).status is Status.TIMEOUT
    busy = "def solve(x):\n    while True: pass"
    spent = judge(runner, busy, limits=Limits(cpu_time_s=0.2, wall_time_s=20.0))
    assert spent.status is Status.TIMEOUT
    assert spent.duration_s < 5.0


def test_times_are_multiplied_by_the_factor():
    slow = "import time\ndef solve(x):\n    time.sleep(0.1)\n    return x + 1"
    runner = SandboxPool(ProcessBackend(), num_workers=1, time_factor=10.0)
    try:
        assert judge(runner, slow, limits=Limits(cpu_time_s=0.2, wall_time_s=0.25)).passed
    finally:
        runner.close()


def test_the_output_of_all_calls_counts(runner):
    check = "def check(c):\n    for _ in range(8): c(1)\n"
    source = "def solve(x): return 'x' * 1000"
    assert judge(runner, source, check, Limits(output_bytes=9000)).passed
    assert judge(runner, source, check, Limits(output_bytes=7000)).status is Status.OUTPUT_LIMIT


def test_a_program_that_takes_its_sandbox_down_twice_has_crashed():
    backend = RecordingBackend()
    runner = SandboxPool(backend, num_workers=1)
    killer = "import os, signal\ndef solve(x): os.kill(os.getppid(), signal.SIGTERM)"
    try:
        outcome = judge(runner, killer)
        assert outcome.status is Status.CRASH
        assert "crashed its sandbox twice" in outcome.detail
        assert runner.stats().num_retried == 1
        assert judge(runner, RIGHT).passed
    finally:
        runner.close()


def test_a_tester_that_dies_is_no_verdict():
    backend = RecordingBackend()
    runner = SandboxPool(backend, num_workers=1)
    try:
        outcome = judge(runner, RIGHT, "import os, signal\ndef check(c): os.kill(os.getppid(), signal.SIGTERM)\n")
        assert outcome.status is Status.INFRA
        assert runner.stats().num_retried == 1
        assert judge(runner, RIGHT).passed
    finally:
        runner.close()


@pytest.mark.parametrize("side", ["candidates", "_harnesses"])
@pytest.mark.parametrize("when", ["idle", "at work"])
def test_sandboxes_killed_from_outside_cost_no_verdict(side, when):
    backend = RecordingBackend()
    runner = SandboxPool(backend, num_workers=1)
    try:
        assert judge(runner, RIGHT).passed
        outcomes = Outcomes()
        for _ in range(3):
            victim = getattr(runner._slots[0], side).connection.sandbox.root_pid
            if when == "idle":
                os.kill(victim, signal.SIGKILL)
            runner.queue().submit_check(task(), RIGHT_IN_0_2_S, LIMITS).add_done_callback(outcomes)
            if when == "at work":
                time.sleep(0.1)
                os.kill(victim, signal.SIGKILL)
            outcomes.wait(len(outcomes.found) + 1)
        assert [outcome.status for outcome in outcomes.found] == [Status.PASSED] * 3
    finally:
        runner.close()


def test_without_sandboxes_there_is_no_verdict_and_later_there_is():
    backend = RecordingBackend(num_failures=3)
    runner = SandboxPool(backend, num_workers=1)
    try:
        outcome = judge(runner, RIGHT)
        assert (outcome.status, backend.num_tried) == (Status.INFRA, 3)
        assert "no room" in outcome.detail
        assert judge(runner, RIGHT).passed
    finally:
        runner.close()


def test_what_was_cancelled_is_not_heard_of():
    runner = SandboxPool(ProcessBackend(), num_workers=1)
    unheard, outcomes = Outcomes(), Outcomes()
    try:
        left = runner.queue()
        left.submit_check(task(), "import time\ndef solve(x): time.sleep(15)", LIMITS).add_done_callback(unheard)
        left.submit_check(task(), RIGHT, LIMITS).add_done_callback(unheard)
        runner.queue().submit_check(task(), RIGHT, LIMITS).add_done_callback(outcomes)
        time.sleep(0.5)
        left.cancel()
        left.submit_check(task(), RIGHT, LIMITS).add_done_callback(unheard)
        assert outcomes.wait()[0].passed
        runner.queue().submit_check(task(), RIGHT, LIMITS).add_done_callback(outcomes)
        assert outcomes.wait(2)[1].passed
        assert unheard.found == []
    finally:
        runner.close()


def test_clients_are_served_in_turn():
    runner = SandboxPool(ProcessBackend(), num_workers=1)
    order, outcomes = [], Outcomes()

    def noted(name):
        return lambda future: (order.append(name), outcomes(future))

    try:
        long, short = runner.queue(), runner.queue()
        for _ in range(40):
            long.submit_check(task(), RIGHT, LIMITS).add_done_callback(noted("long"))
        short.submit_check(task(), RIGHT, LIMITS).add_done_callback(noted("short"))
        assert all(outcome.passed for outcome in outcomes.wait(41))
    finally:
        runner.close()
    assert order.index("short") in (1, 2)


def test_closing_ends_all_and_what_has_no_verdict_gets_none():
    backend = RecordingBackend()
    runner = SandboxPool(backend, num_workers=2)
    outcomes = Outcomes()
    for _ in range(4):
        runner.queue().submit_check(task(), SLEEPS, LIMITS).add_done_callback(outcomes)
    time.sleep(0.5)
    began = time.monotonic()
    runner.close()
    assert time.monotonic() - began < 5.0
    assert [outcome.status for outcome in outcomes.found] == [Status.INFRA] * 4
    assert all(sandbox._process.returncode is not None for sandbox in backend.started)
    with pytest.raises(RuntimeError, match="closed"):
        runner.queue().submit_check(task(), RIGHT, LIMITS).add_done_callback(outcomes)


def test_pairs_work_at_the_same_time():
    runner = SandboxPool(ProcessBackend(), num_workers=3)
    outcomes = Outcomes()
    source = "import time\ndef solve(x):\n    time.sleep(0.2)\n    return x + 1"
    try:
        judge(runner, RIGHT)
        began = time.monotonic()
        for _ in range(3):
            runner.queue().submit_check(task(), source, LIMITS).add_done_callback(outcomes)
        assert [outcome.status for outcome in outcomes.wait(3)] == [Status.PASSED] * 3
        assert time.monotonic() - began < 2.2  # one after the other: 3 x 4 x 0.2 s
    finally:
        runner.close()
