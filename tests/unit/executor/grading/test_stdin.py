"""Grading by stdin tests over a queue whose executions the test resolves by hand."""

from concurrent.futures import Future

import pytest

from executor.grading.stdin import CHECKER_ARGV, NUM_AHEAD, StdinGrading
from executor.types import Execution, Limits, Run, Status, StdinTest, Task

LIMITS = Limits(cpu_time_s=1.0, wall_time_s=2.0)


class ManualQueue:
    """Keeps what was submitted, in order, with its future."""

    def __init__(self):
        self.submitted = []

    def submit(self, run, limits, *, calls=None, is_trusted=False, is_next=False):
        self.submitted.append((run, limits, is_trusted, Future()))
        return self.submitted[-1][-1]

    def finish(self, position, stdout=b"", *, failure=None, duration_s=0.5):
        _, _, _, future = self.submitted[position]
        future.set_result(
            Execution(failure=failure, results=(), stdout=stdout, duration_s=duration_s, detail=str(failure or ""))
        )


def start(num_tests, **options):
    """Start the grading of a program whose test i has the input `i` and the output `out i`."""
    tests = tuple(StdinTest(stdin=f"{i}\n", stdout=f"out {i}\n") for i in range(num_tests))
    queue = ManualQueue()
    grading = StdinGrading(queue, Task(task_id="t", stdin_tests=tests, **options), Run(source="print()"), LIMITS)
    return queue, grading.start()


def test_stdin_grading_all_outputs_equal_passes():
    queue, outcome = start(3)
    assert [run.stdin for run, *_ in queue.submitted] == [b"0\n"]  # the others wait for the first
    queue.finish(0, b"out 0")
    assert [run.stdin for run, *_ in queue.submitted] == [b"0\n", b"1\n", b"2\n"]
    queue.finish(2, b"out 2\n\n")
    assert not outcome.done()
    queue.finish(1, b"out 1 \n")
    found = outcome.result(0)
    assert (found.status, found.num_passed, found.num_tests, found.duration_s) == (Status.PASSED, 3, 3, 1.5)


def test_stdin_grading_keeps_a_few_tests_ahead():
    queue, _ = start(20)
    queue.finish(0, b"out 0")
    assert len(queue.submitted) == 1 + NUM_AHEAD
    queue.finish(1, b"out 1")
    assert len(queue.submitted) == 2 + NUM_AHEAD


def test_stdin_grading_counts_passes_after_a_wrong_output():
    queue, outcome = start(3)
    queue.finish(0, b"no")
    queue.finish(1, b"out 1")
    queue.finish(2, b"out 2")
    found = outcome.result(0)
    assert (found.status, found.num_passed) == (Status.WRONG, 2)
    assert "test 0: line 1" in found.detail


@pytest.mark.parametrize("status", [Status.TIMEOUT, Status.LOAD_ERROR])
def test_stdin_grading_stops_after_a_timeout_whatever_ran_ahead(status):
    queue, outcome = start(9)
    queue.finish(0, b"out 0")
    queue.finish(2, b"out 2")  # ahead of test 1, so it does not count
    queue.finish(1, failure=status)
    found = outcome.result(0)
    assert (found.status, found.num_passed, found.num_tests) == (status, 1, 9)
    assert found.detail.startswith("test 1: ")
    assert len(queue.submitted) <= 1 + NUM_AHEAD + 1


def test_stdin_grading_infra_outranks_earlier_failures():
    queue, outcome = start(2)
    queue.finish(0, b"no")
    queue.finish(1, failure=Status.INFRA)
    found = outcome.result(0)
    assert (found.status, found.num_passed) == (Status.INFRA, 0)


def test_stdin_grading_runs_a_checker_where_no_candidate_runs():
    queue, outcome = start(1, checker="print(1)")
    queue.finish(0, b"another right answer")
    run, limits, is_trusted, _ = queue.submitted[1]
    assert (is_trusted, run.source, run.argv) == (True, "print(1)", CHECKER_ARGV)
    assert run.files == {"input.txt": "0\n", "expected.txt": "out 0\n", "output.txt": "another right answer"}
    assert limits.cpu_time_s == 3.0
    assert "out 0" not in repr(queue.submitted[0][0])
    queue.finish(1, b"1\n")
    assert outcome.result(0).passed


@pytest.mark.parametrize(
    ("printed", "failure", "status"),
    [
        (b"0\n", None, Status.WRONG),
        (b"", None, Status.INFRA),
        (b"yes", None, Status.INFRA),
        (b"1", Status.TIMEOUT, Status.INFRA),
        (b"1", Status.EXCEPTION, Status.INFRA),
    ],
)
def test_stdin_grading_reads_one_or_zero_from_a_checker(printed, failure, status):
    queue, outcome = start(1, checker="print(1)")
    queue.finish(0, b"x")
    queue.finish(1, printed, failure=failure)
    assert outcome.result(0).status is status


def test_stdin_grading_does_not_check_a_program_that_failed():
    queue, outcome = start(1, checker="print(1)")
    queue.finish(0, b"x", failure=Status.EXCEPTION)
    assert outcome.result(0).status is Status.EXCEPTION
    assert len(queue.submitted) == 1


def test_stdin_grading_output_that_is_not_utf8_is_wrong():
    for options in ({}, {"checker": "print(1)"}):
        queue, outcome = start(1, **options)
        queue.finish(0, b"\xff")
        assert outcome.result(0).status is Status.WRONG


def test_stdin_grading_is_cancelled_with_its_queue():
    queue, outcome = start(2)
    queue.submitted[0][-1].cancel()
    queue.submitted[0][-1].set_running_or_notify_cancel()
    assert outcome.cancelled()
