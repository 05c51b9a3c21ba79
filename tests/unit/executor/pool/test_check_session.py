"""The time of each side of a check, with connections that record what they are sent and a clock set by hand.

The candidate may take 2 s in these tests, and so the harness four times that.
"""

import pytest

from executor.pool.check_session import CheckSession
from executor.pool.connection import GRACE_S
from executor.pool.queue import CheckJob
from executor.types import Limits, Status, Task

START = 10.0
TASK = Task(task_id="t", entry_point="solve", check="def check(c): assert c(1) == 2")
LOADED, ANSWER, CALL, PASSED = b"rnull\n", b"v2\n", b"c[[1],{}]\n", b"pnull\n"


class RecordingConnection:
    """Stands for the connection to one sandbox."""

    def __init__(self):
        self.lines = []
        self.num_ends = 0

    def send(self, ticket, header, body):
        self.header = header

    def send_line(self, line):
        self.lines.append(line)

    def end_session(self):
        self.num_ends += 1


class Check:
    """A session and its two sides."""

    def __init__(self):
        self.candidate, self.harness = RecordingConnection(), RecordingConnection()
        job = CheckJob(task=TASK, program="", limits=Limits(cpu_time_s=1.0, wall_time_s=2.0), queue=None)
        self.session = CheckSession(job, candidate=self.candidate, harness=self.harness, now=START)

    def from_candidate(self, lines, at):
        self.session.receive(self.candidate, {"lines": True}, lines, START + at)

    def from_harness(self, lines, at):
        self.session.receive(self.harness, {"lines": True}, lines, START + at)

    def look_at_clock(self, *times):
        assert all(self.session.check_deadline(START + at) for at in times)

    @property
    def result(self):
        outcome = self.session.outcome
        return None if outcome is None else (outcome.status, round(outcome.duration_s, 6))


@pytest.fixture
def check():
    return Check()


def test_duration_is_load_and_calls_and_not_the_time_of_the_harness(check):
    check.from_candidate(LOADED, at=0.5)
    check.from_harness(CALL, at=3.5)
    check.from_candidate(ANSWER, at=4.25)
    check.look_at_clock(8.0, 8.4)  # 3 s + 4.15 s of the harness's 8 s
    check.from_harness(PASSED, at=8.5)
    assert check.result == (Status.PASSED, 1.25)  # 0.5 s + 0.75 s
    assert (check.candidate.lines, check.harness.lines) == (["[[1], {}]"], ["v2"])


def test_what_the_harness_writes_while_the_candidate_loads_waits(check):
    check.from_harness(CALL, at=0.25)
    assert check.candidate.lines == []
    check.from_candidate(LOADED, at=0.5)
    assert check.candidate.lines == ["[[1], {}]"]
    check.from_candidate(ANSWER, at=0.75)
    check.from_harness(PASSED, at=1.0)
    assert check.result == (Status.PASSED, 0.75)


def test_load_failure_counts_before_the_end_of_the_harness(check):
    check.from_harness(b'f"no check"\n', at=0.25)
    check.session.receive(check.harness, {"end": None, "exit_code": 0, "clean": True}, b"", START + 0.3)
    assert check.result is None
    check.from_candidate(b'l["SyntaxError", "bad"]\n', at=0.5)
    assert check.result == (Status.LOAD_ERROR, 0.5)
    assert (check.candidate.num_ends, check.harness.num_ends) == (1, 0)  # the harness has ended by itself


def test_fault_of_the_check_counts_once_the_candidate_has_loaded(check):
    check.from_harness(b'f"no check"\n', at=0.25)
    check.session.receive(check.harness, {"end": None, "exit_code": 0, "clean": True}, b"", START + 0.3)
    check.from_candidate(LOADED, at=0.5)
    assert check.result == (Status.INFRA, 0.5)


def test_candidate_times_out_over_load_and_calls_together(check):
    check.from_candidate(LOADED, at=1.5)
    check.from_harness(CALL, at=3.0)
    check.look_at_clock(3.4, 3.6, 3.7)  # 0.5 s are left at 3.0
    assert check.result == (Status.TIMEOUT, 2.0)


def test_candidate_times_out_at_the_second_look_at_the_clock(check):
    check.look_at_clock(1.9, 2.1)
    assert check.result is None
    check.look_at_clock(2.2)
    assert check.result == (Status.TIMEOUT, 2.0)


def test_message_between_two_looks_at_the_clock_prevents_a_timeout(check):
    check.look_at_clock(2.1)
    check.from_candidate(LOADED, at=2.15)  # was in the pipe when the clock was read
    check.look_at_clock(2.2)
    assert check.result is None


def test_harness_has_four_times_the_time_of_the_candidate(check):
    assert check.candidate.header["wall_time_s"] == 2.0 + 8.0 + GRACE_S
    check.from_candidate(LOADED, at=1.0)
    assert check.harness.header["cpu_time_s"] == 8.0
    check.look_at_clock(8.9, 8.95)
    assert check.result is None
    check.look_at_clock(9.1, 9.2)
    assert check.result == (Status.INFRA, 1.0)


def test_harness_that_runs_out_of_time_after_an_answer_is_a_timeout(check):
    check.from_candidate(LOADED, at=0.25)
    check.from_harness(CALL, at=1.0)
    check.from_candidate(ANSWER, at=1.5)
    check.look_at_clock(9.0, 9.1)  # 0.75 s + 7.5 s of the harness
    assert check.result == (Status.TIMEOUT, 0.75)


def test_decided_session_must_end_within_the_grace_time(check):
    check.look_at_clock(2.1, 2.2)
    assert (check.candidate.num_ends, check.harness.num_ends) == (1, 1)
    assert check.session.check_deadline(START + 2.2 + GRACE_S)
    assert not check.session.check_deadline(START + 2.3 + GRACE_S)
