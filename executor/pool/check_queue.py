"""A program on its way through the pairs of sandboxes, and a client's place in that line. It knows no sandbox."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from executor.types import Limits, Outcome, Task

OnCheckOutcome = Callable[[Outcome], None]


@dataclass(eq=False)
class Check:
    """A program that was handed in; `deliver` is called at most once."""

    task: Task
    source: str
    limits: Limits
    on_outcome: OnCheckOutcome
    queue: "CheckQueue"

    @property
    def is_cancelled(self) -> bool:
        return self.queue.is_cancelled

    def deliver(self, outcome: Outcome) -> None:
        if not self.is_cancelled:
            self.on_outcome(outcome)


class TakesChecks(Protocol):
    """A place in line, as a batch sees it."""

    def put(self, task: Task, source: str, limits: Limits, on_outcome: OnCheckOutcome) -> None: ...

    def cancel(self) -> None: ...


class RunsChecks(Protocol):
    """The runner, as a queue sees it."""

    def enqueue(self, check: Check) -> None: ...

    def drop(self, line: "CheckQueue") -> None: ...


class CheckQueue:
    """A client's place in line: the runner takes from all queues in turn, so that none waits behind another's batch."""

    def __init__(self, runner: RunsChecks):
        self._runner = runner
        self.waiting: deque[Check] = deque()
        self.is_cancelled = False

    def put(self, task: Task, source: str, limits: Limits, on_outcome: OnCheckOutcome) -> None:
        """Hand a program in; never blocks. After `cancel` it is dropped.

        Args:
            task: has a check.
            source: the program.
            limits: hold for it, as they are for the reference machine.
            on_outcome: called once, in a thread of the runner, unless cancelled before; it must be quick and not raise.

        Raises:
            RuntimeError: the runner is closed.
        """
        self._runner.enqueue(Check(task=task, source=source, limits=limits, on_outcome=on_outcome, queue=self))

    def cancel(self) -> None:
        """Drop what has not begun; what runs ends unheard."""
        self.is_cancelled = True
        self._runner.drop(self)
