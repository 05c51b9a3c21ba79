"""Checks through a pool of workers without a sandbox around them: outcomes, failures, and to what they are attributed.

Programs write files to signal that they have been called, so that no test depends on how fast this machine is.
"""

import os
import signal
import threading

import pytest

from executor.backends.process import ProcessBackend
from executor.pool.pool import SandboxPool
from executor.types import Limits, Status, Task
from tests.support.wait import wait_until

LIMITS = Limits(cpu_time_s=5.0, wall_time_s=60.0)
CHECK = "def check(candidate):\n    for x in range(4):\n        assert candidate(x) == x + 1\n"
RIGHT = "def solve(x): return x + 1"
SLEEPS = "import time\ndef solve(x): time.sleep(60)"


def build_task(check=CHECK):
    return Task(task_id="t", entry_point="solve", check=check)


def grade(pool, source, check=CHECK, limits=LIMITS):
    return pool.queue().submit_check(build_task(check), source, limits).result(timeout=120)


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
            assert self.changed.wait_for(lambda: len(self.found) >= count, timeout=120), self.found
            return self.found


class RecordingBackend(ProcessBackend):
    """Keeps the sandboxes it started; the first `num_failures` starts fail."""

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
def pool():
    with SandboxPool(ProcessBackend(), num_workers=1) as opened:
        yield opened


@pytest.fixture
def backend():
    return RecordingBackend()


@pytest.fixture
def own_pool(backend):
    """A pool that a test may damage."""
    with SandboxPool(backend, num_workers=1) as opened:
        yield opened


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
def test_check_status_matches_the_program_and_the_next_program_passes(pool, source, status):
    outcome = grade(pool, source)
    assert outcome.status is status, outcome
    assert (outcome.num_passed, outcome.num_tests) == (int(status is Status.PASSED), 1)
    assert grade(pool, RIGHT).passed


def test_unreadable_result_is_a_crash(pool, monkeypatch):
    def read(kind, text, *, extended=False):
        raise OverflowError("an exception no caller expects")

    monkeypatch.setattr("executor.pool.check_session.parse_result", read)
    outcome = grade(pool, RIGHT)
    assert outcome.status is Status.CRASH
    assert "malformed" in outcome.detail


@pytest.mark.parametrize(
    "check",
    [
        "def check(c):\n    try: c(1)\n    finally: return\n",
        "def check(c):\n    while True:\n        try: c(1)\n        except BaseException: pass\n        else: return\n",
    ],
)
def test_unsupported_value_is_wrong_even_if_the_check_ignores_it(pool, check):
    assert grade(pool, "def solve(x): return object()", check).status is Status.WRONG


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("def check(c:", "does not load"),
        ("def check(c): c(print)", "cannot be passed on"),
        ("import os\ndef check(c): os._exit(3)", "exit code 3"),
        ("import os\ndef check(c): os.write(3, b'c[1]\\n'); c(1)", "malformed call"),
        ("import os\ndef check(c): os.write(3, b'c[[{\"$x\": 1}], {}]\\n'); c(1)", "malformed call"),
        ("import os\ndef check(c): os.write(3, b'?\\n')", "at fault"),
    ],
)
def test_faulty_check_is_infra(pool, check, words):
    outcome = grade(pool, RIGHT, check)
    assert outcome.status is Status.INFRA
    assert "task t" in outcome.detail
    assert words in outcome.detail
    assert outcome.num_passed == 0


def test_check_killed_after_an_answer_is_a_crash(pool):
    """Otherwise a program could have its sample masked by returning what its check cannot bear."""
    outcome = grade(pool, RIGHT, "import os\ndef check(c):\n    c(0)\n    os.kill(os.getpid(), 9)")
    assert outcome.status is Status.CRASH, outcome
    assert "with what the program returned" in outcome.detail


@pytest.mark.parametrize(
    ("check", "status", "words"),
    [
        ("def check(c):\n    while True: pass\n", Status.INFRA, "ran out of time"),
        ("def check(c):\n    c(0)\n    while True: pass", Status.TIMEOUT, "with what the program returned"),
    ],
)
def test_endless_check_is_infra_unless_it_has_an_answer(pool, check, status, words):
    outcome = grade(pool, RIGHT, check, Limits(cpu_time_s=1.0, wall_time_s=0.25))  # 4 x 0.25 s of CPU for the harness
    assert outcome.status is status, outcome
    assert words in outcome.detail


@pytest.mark.parametrize(
    "source",
    ["import time\ndef solve(x):\n    time.sleep(0.3)\n    return x + 1", "import time; time.sleep(60)\n" + RIGHT],
    ids=["four calls", "load"],
)
def test_wall_time_limit_applies_to_load_and_calls_together(pool, source):
    assert grade(pool, source, limits=Limits(cpu_time_s=5.0, wall_time_s=0.5)).status is Status.TIMEOUT


def test_cpu_time_limit_applies_before_the_wall_time_limit(pool):
    busy = "def solve(x):\n    while True: pass"
    outcome = grade(pool, busy, limits=Limits(cpu_time_s=0.2, wall_time_s=60.0))
    assert outcome.status is Status.TIMEOUT
    assert outcome.duration_s < 30.0


def test_time_factor_multiplies_the_limits():
    slow = "import time\ndef solve(x):\n    time.sleep(0.1)\n    return x + 1"  # four calls: 0.4 s
    with SandboxPool(ProcessBackend(), num_workers=1, time_factor=100.0) as pool:
        assert grade(pool, slow, limits=Limits(cpu_time_s=0.2, wall_time_s=0.3)).passed


def test_output_limit_applies_to_all_calls_together(pool):
    check = "def check(c):\n    for _ in range(8): c(1)\n"
    source = "def solve(x): return 'x' * 1000"
    assert grade(pool, source, check, Limits(output_bytes=9000)).passed
    assert grade(pool, source, check, Limits(output_bytes=7000)).status is Status.OUTPUT_LIMIT


def test_program_that_kills_its_sandbox_twice_is_a_crash(own_pool):
    outcome = grade(own_pool, "import os, signal\ndef solve(x): os.kill(os.getppid(), signal.SIGTERM)")
    assert outcome.status is Status.CRASH
    assert "crashed its sandbox twice" in outcome.detail
    assert own_pool.stats().num_retried == 1
    assert grade(own_pool, RIGHT).passed


def test_check_that_kills_its_sandbox_twice_is_infra(own_pool):
    outcome = grade(own_pool, RIGHT, "import os, signal\ndef check(c): os.kill(os.getppid(), signal.SIGTERM)\n")
    assert outcome.status is Status.INFRA
    assert own_pool.stats().num_retried == 1
    assert grade(own_pool, RIGHT).passed


@pytest.mark.parametrize("side", ["candidates", "_harnesses"])
@pytest.mark.parametrize("when", ["idle", "during a call"])
def test_sandbox_killed_from_outside_does_not_change_the_outcome(own_pool, side, when, tmp_path):
    called = tmp_path / "called"
    source = (
        f"import time\ndef solve(x):\n    open({str(called)!r}, 'w').close()\n    time.sleep(0.05)\n    return x + 1"
    )
    assert grade(own_pool, RIGHT).passed
    outcomes = Outcomes()
    for round_number in range(1, 4):
        victim = getattr(own_pool._slots[0], side).connection.sandbox.root_pid
        called.unlink(missing_ok=True)
        if when == "idle":
            os.kill(victim, signal.SIGKILL)
        own_pool.queue().submit_check(build_task(), source, LIMITS).add_done_callback(outcomes)
        if when == "during a call":
            wait_until(called.exists)
            os.kill(victim, signal.SIGKILL)
        outcomes.wait(round_number)
    assert [outcome.status for outcome in outcomes.found] == [Status.PASSED] * 3


def test_failed_starts_are_infra_until_a_sandbox_starts():
    backend = RecordingBackend(num_failures=3)
    with SandboxPool(backend, num_workers=1) as pool:
        outcome = grade(pool, RIGHT)
        assert (outcome.status, backend.num_tried) == (Status.INFRA, 3)
        assert "no room" in outcome.detail
        assert grade(pool, RIGHT).passed


def test_cancelled_queue_delivers_nothing_and_others_go_on(own_pool):
    cancelled, outcomes = Outcomes(), Outcomes()
    queue = own_pool.queue()
    queue.submit_check(build_task(), SLEEPS, LIMITS).add_done_callback(cancelled)
    queue.submit_check(build_task(), RIGHT, LIMITS).add_done_callback(cancelled)
    own_pool.queue().submit_check(build_task(), RIGHT, LIMITS).add_done_callback(outcomes)
    wait_until(lambda: own_pool.stats().num_busy == 1)
    queue.cancel()
    queue.submit_check(build_task(), RIGHT, LIMITS).add_done_callback(cancelled)
    assert outcomes.wait()[0].passed
    own_pool.queue().submit_check(build_task(), RIGHT, LIMITS).add_done_callback(outcomes)
    assert outcomes.wait(2)[1].passed
    assert cancelled.found == []


def test_queues_are_served_in_turn(own_pool):
    order, outcomes = [], Outcomes()

    def record(name):
        return lambda future: (order.append(name), outcomes(future))

    long, short = own_pool.queue(), own_pool.queue()
    for _ in range(40):
        long.submit_check(build_task(), RIGHT, LIMITS).add_done_callback(record("long"))
    short.submit_check(build_task(), RIGHT, LIMITS).add_done_callback(record("short"))
    assert all(outcome.passed for outcome in outcomes.wait(41))
    assert order.index("short") in (1, 2)


def test_close_ends_running_and_waiting_checks_as_infra(backend):
    pool = SandboxPool(backend, num_workers=2)
    outcomes = Outcomes()
    for _ in range(4):
        pool.queue().submit_check(build_task(), SLEEPS, LIMITS).add_done_callback(outcomes)
    wait_until(lambda: pool.stats().num_busy == 2)
    pool.close()
    assert [outcome.status for outcome in outcomes.found] == [Status.INFRA] * 4
    assert all(outcome.duration_s < 30.0 for outcome in outcomes.found)
    assert all(sandbox._process.returncode is not None for sandbox in backend.started)
    with pytest.raises(RuntimeError, match="closed"):
        pool.queue().submit_check(build_task(), RIGHT, LIMITS)


def test_checks_of_several_workers_run_at_the_same_time(tmp_path):
    """Each program waits until all three have been called; one after the other they would run out of time."""
    source = (
        "import os, time\n"
        "def solve(x):\n"
        f"    open({str(tmp_path)!r} + '/%d', 'w').close()\n"
        f"    while len(os.listdir({str(tmp_path)!r})) < 3: time.sleep(0.01)\n"
        "    return x + 1"
    )
    outcomes = Outcomes()
    with SandboxPool(ProcessBackend(), num_workers=3) as pool:
        for number in range(3):
            pool.queue().submit_check(build_task(), source % number, LIMITS).add_done_callback(outcomes)
        assert [outcome.status for outcome in outcomes.wait(3)] == [Status.PASSED] * 3
