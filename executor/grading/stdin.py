"""Grades whole programs: one run for each stdin test, its standard output compared here or by a checker.

Tests run in order, a few ahead of the first unfinished one. After a timeout or a load error no further tests count, so
that a program that never ends costs one time limit and not one per test. Expected output enters no sandbox in which a
candidate runs: a checker runs in the sandbox of check harnesses.
"""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

from executor.grading.compare import describe_stdout_difference, stdout_equal
from executor.pool.queue import JobQueue
from executor.types import Execution, Limits, Outcome, Run, Status, StdinTest, Task

NUM_AHEAD = 4
"""Tests in flight once the first has passed."""
CHECKER_LIMIT_FACTOR = 3.0
"""A checker may take this many times the limits of a program."""
CHECKER_ARGV: tuple[str, ...] = ("input.txt", "expected.txt", "output.txt")
"""Names of the files that a checker reads: standard input, expected output, and the program's output."""
_LAST_STATUSES = (Status.TIMEOUT, Status.LOAD_ERROR, Status.SOURCE_TOO_LONG, Status.INFRA)


@dataclass(frozen=True, slots=True)
class _Result:
    """What one test gave."""

    status: Status
    detail: str
    duration_s: float
    queued_s: float


class StdinGrading:
    """Grades one program by the stdin tests of its task; `outcome` is resolved when it is decided."""

    def __init__(self, queue: JobQueue, task: Task, run: Run, limits: Limits):
        self.outcome: Future[Outcome] = Future()
        self._queue = queue
        self._task = task
        self._run = run
        self._limits = limits
        self._lock = threading.Lock()
        self._results: dict[int, _Result] = {}
        self._num_started = 0
        self._num_counted = len(task.stdin_tests)
        """Tests that count; fewer once a test has timed out or the program did not load."""

    def start(self) -> "Future[Outcome]":
        """Run the first test; the others follow."""
        self._run_next()
        return self.outcome

    def _run_next(self) -> None:
        with self._lock:
            num_finished = len(self._results)
            num_ahead = NUM_AHEAD if num_finished else 1
            last = min(self._num_counted, num_finished + num_ahead)
            indices = range(self._num_started, last)
            self._num_started = max(self._num_started, last)
        for index in indices:
            test = self._task.stdin_tests[index]
            run = replace(self._run, stdin=test.stdin.encode("utf-8"))
            future = self._queue.submit(run, self._limits, is_next=index > 0)
            future.add_done_callback(partial(self._on_execution, index, test))

    def _on_execution(self, index: int, test: StdinTest, done: Future[Execution]) -> None:
        if done.cancelled():
            self.outcome.cancel()
            return
        try:
            execution = done.result()
            if self._task.checker is not None and execution.failure is None:
                self._run_checker(index, test, execution)
            else:
                self._store(index, _compare(test, execution, self._task.float_tol))
        except Exception as error:
            self._fail(error)

    def _run_checker(self, index: int, test: StdinTest, execution: Execution) -> None:
        assert self._task.checker is not None
        assert execution.stdout is not None
        try:
            contents = (test.stdin, test.stdout, execution.stdout.decode("utf-8"))
        except UnicodeDecodeError:
            self._store(index, _result(execution, Status.WRONG, "the output is not UTF-8"))
            return
        files = dict(zip(CHECKER_ARGV, contents, strict=True))
        run = Run(source=self._task.checker, stdin=b"", argv=CHECKER_ARGV, files=files)
        limits = self._limits.scaled(CHECKER_LIMIT_FACTOR)
        future = self._queue.submit(run, limits, is_trusted=True, is_next=True)
        future.add_done_callback(partial(self._on_checked, index, execution))

    def _on_checked(self, index: int, execution: Execution, done: Future[Execution]) -> None:
        if done.cancelled():
            self.outcome.cancel()
            return
        try:
            self._store(index, _read_checker(self._task.task_id, execution, done.result()))
        except Exception as error:
            self._fail(error)

    def _store(self, index: int, result: _Result) -> None:
        with self._lock:
            self._results[index] = result
            if result.status in _LAST_STATUSES:
                self._num_counted = min(self._num_counted, index + 1)
            is_decided = all(index in self._results for index in range(self._num_counted))
            is_decided = is_decided and not self.outcome.done()
        if is_decided:
            self._decide()
        else:
            self._run_next()

    def _decide(self) -> None:
        results = [self._results[index] for index in range(self._num_counted)]
        failures = [(index, result) for index, result in enumerate(results) if result.status is not Status.PASSED]
        infra = [(index, result) for index, result in failures if result.status is Status.INFRA]
        index, first = next(iter(infra or failures), (0, None))
        status = Status.PASSED if first is None else first.status
        if self.outcome.set_running_or_notify_cancel():
            outcome = Outcome(
                status=status,
                num_passed=0 if status is Status.INFRA else len(results) - len(failures),
                num_tests=len(self._task.stdin_tests),
                duration_s=sum(result.duration_s for result in results),
                queued_s=results[0].queued_s,
                detail="" if first is None else f"test {index}: {first.detail}",
            )
            self.outcome.set_result(outcome)

    def _fail(self, error: Exception) -> None:
        if self.outcome.set_running_or_notify_cancel():
            self.outcome.set_exception(error)


def _result(execution: Execution, status: Status, detail: str) -> _Result:
    return _Result(status, detail, execution.duration_s, execution.queued_s)


def _compare(test: StdinTest, execution: Execution, float_tol: float | None) -> _Result:
    if execution.failure is not None:
        return _result(execution, execution.failure, execution.detail)
    assert execution.stdout is not None
    if stdout_equal(execution.stdout, test.stdout, float_tol=float_tol):
        return _result(execution, Status.PASSED, "")
    difference = describe_stdout_difference(execution.stdout, test.stdout, float_tol=float_tol)
    return _result(execution, Status.WRONG, difference)


def _read_checker(task_id: str, execution: Execution, checked: Execution) -> _Result:
    """Read what a checker printed: 1 or 0. A checker that fails otherwise is no failure of the program."""
    if checked.failure is None and checked.stdout is not None:
        printed = checked.stdout.strip()
        if printed in (b"1", b"1.0"):
            return _result(execution, Status.PASSED, "")
        if printed in (b"0", b"0.0"):
            return _result(execution, Status.WRONG, "the checker printed 0")
        why = f"it printed {printed[:40]!r} instead of 1 or 0"
    else:
        why = checked.detail or str(checked.failure)
    return _result(execution, Status.INFRA, f"the checker of task {task_id} is at fault: {why}")
