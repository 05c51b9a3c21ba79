"""A batch on the server: started in a thread, its results put into a mailbox, each turned into its line.

It knows nothing of HTTP.
"""

import functools
import threading
from collections.abc import Callable
from typing import Any, Protocol

from executor.answers import done_line, execution_line, outcome_line, report_line
from executor.client import LocalExecutor
from executor.messages import GradeRequest, RunRequest
from executor.report import report_of
from executor.schema import Execution, Outcome

OnResult = Callable[[int, Any], None]


class Batch(Protocol):
    """What the service needs of a batch."""

    kind: str
    num_programs: int

    def start(self, on_result: OnResult) -> None:
        """Put all programs in line; `on_result` gets (position, result) of each, in any thread.

        Raises:
            ValueError: a program that cannot be put in line.
        """
        ...

    def cancel(self) -> None:
        """Drop what has not begun; from any thread, also while `start` is at work."""
        ...

    def line(self, index: int, result: Any) -> bytes:
        """Write the line of a result."""
        ...

    def last_line(self) -> bytes:
        """Write the line that says that this was all."""
        ...


class GradeBatch:
    """Samples to grade."""

    kind = "grade"

    def __init__(self, executor: LocalExecutor, request: GradeRequest):
        self.num_programs = len(request.submissions)
        self._request = request
        self._outcomes: dict[int, Outcome] = {}
        self._executor = executor
        self._cancelled = threading.Event()
        self._cancel: Callable[[], None] | None = None

    def start(self, on_result: OnResult) -> None:
        request = self._request
        grading = self._executor.grading(request.limits, rewards=request.rewards, on_result=on_result)
        self._cancel = functools.partial(grading.__exit__, None, None, None)
        for submission in request.submissions:
            if self._cancelled.is_set():
                break
            grading.add(submission)
        if self._cancelled.is_set():
            self._cancel()

    def cancel(self) -> None:
        self._cancelled.set()
        if self._cancel is not None:
            self._cancel()

    def line(self, index: int, result: Outcome) -> bytes:
        self._outcomes[index] = result
        return outcome_line(index, result)

    def last_line(self) -> bytes:
        tasks = [submission.task for submission in self._request.submissions]
        outcomes = [self._outcomes[index] for index in range(self.num_programs)]
        return report_line(report_of(tasks, outcomes, self._request.ks))


class RunBatch:
    """Programs to run."""

    kind = "run"

    def __init__(self, executor: LocalExecutor, request: RunRequest):
        self.num_programs = len(request.runs)
        self._request = request
        self._line = executor.pool.queue()
        self._cancelled = threading.Event()

    def start(self, on_result: OnResult) -> None:
        for index, run in enumerate(self._request.runs):
            if self._cancelled.is_set():
                break
            self._line.put(run, self._request.limits, functools.partial(on_result, index))
        if self._cancelled.is_set():
            self._line.cancel()

    def cancel(self) -> None:
        self._cancelled.set()
        self._line.cancel()

    def line(self, index: int, result: Execution) -> bytes:
        return execution_line(index, result)

    def last_line(self) -> bytes:
        return done_line()
