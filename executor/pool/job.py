"""One program on its way through the pool, and a client's place in line. It knows no sandbox."""

import json
import logging
import queue
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from executor.sandbox.framing import pack_frame
from executor.types import Execution, Limits, Run

_log = logging.getLogger(__name__)
OnExecution = Callable[[Execution], None]


def encode_calls(run: Run) -> bytes:
    """Make the bytes of a program's calls, as the sandbox reads them."""
    return json.dumps(run.calls, separators=(",", ":"), allow_nan=False).encode("ascii")


def message_of(run: Run, limits: Limits, calls: bytes) -> tuple[dict[str, Any], bytes]:
    """Make header and body of a program's frame.

    The header is all that the worker reads. The body is a frame of its own that the candidate's process reads itself,
    so that no program is ever in the memory from which the next one is forked.
    """
    told = {name: getattr(limits, name) for name in limits.__slots__ if name != "source_bytes"}
    return told, pack_frame({"source": run.source, "entry_point": run.entry_point}, calls)


@dataclass(eq=False, slots=True)
class Job:
    """A program that was handed in; `deliver` is called at most once."""

    run: Run
    calls: bytes
    limits: Limits
    on_execution: OnExecution
    queue: "RunQueue"
    num_deaths: int = 0
    """Sandboxes that died in its turn, for no reason known from outside."""
    num_outside_deaths: int = 0
    """Sandboxes that were killed from outside in its turn."""
    queued_at: float = field(default_factory=time.monotonic)
    sent_at: float = 0.0

    @property
    def message(self) -> tuple[dict[str, Any], bytes]:
        """Header and body of its frame."""
        return message_of(self.run, self.limits, self.calls)

    def deliver(self, execution: Execution) -> None:
        if self.queue.is_cancelled:
            return
        sent_at = self.sent_at or time.monotonic()
        try:
            self.on_execution(replace(execution, queued_s=sent_at - self.queued_at))
        except Exception:  # one client's bug must not end the pool for all
            _log.exception("a callback failed; its program counts as not heard")


class TakesRuns(Protocol):
    """A place in line, for programs of one profile or of several."""

    def put(self, run: Run, limits: Limits, on_execution: OnExecution, *, calls: bytes | None = None) -> None: ...

    def cancel(self) -> None: ...


def run_all(
    line: TakesRuns,
    runs: Sequence[Run],
    limits: Limits,
    on_result: Callable[[int, Execution], None] | None = None,
) -> list[Execution]:
    """Put programs in line, wait, and return one execution for each run, in their order.

    Args:
        line: cancelled in the end.
        runs: the programs.
        limits: hold for each of them.
        on_result: called with (position in `runs`, execution) as each one ends, in this thread.
    """
    done: queue.SimpleQueue[tuple[int, Execution]] = queue.SimpleQueue()
    results: dict[int, Execution] = {}
    try:
        for index, run in enumerate(runs):
            line.put(run, limits, lambda execution, index=index: done.put((index, execution)))
        while len(results) < len(runs):
            index, execution = done.get()
            results[index] = execution
            if on_result is not None:
                on_result(index, execution)
    finally:
        line.cancel()
    return [results[index] for index in range(len(runs))]


class TakesJobs(Protocol):
    """The pool, as a queue sees it."""

    def enqueue(self, job: Job) -> None: ...

    def drop(self, line: "RunQueue") -> None: ...


class RunQueue:
    """A client's place in line: the pool takes from all queues in turn, so that none waits behind another's batch."""

    def __init__(self, pool: TakesJobs):
        self._pool = pool
        self.waiting: deque[Job] = deque()
        self.is_cancelled = False

    def __enter__(self) -> "RunQueue":
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def put(self, run: Run, limits: Limits, on_execution: OnExecution, *, calls: bytes | None = None) -> None:
        """Hand a program in; never blocks. After `cancel` it is dropped.

        Args:
            run: the program.
            limits: hold for it, as they are for the reference machine.
            on_execution: called once in the pool's thread, unless cancelled before; it must be quick and not raise.
            calls: `encode_calls(run)` where the caller has it already.

        Raises:
            RuntimeError: the pool is closed.
        """
        if self.is_cancelled:
            return
        encoded = encode_calls(run) if calls is None else calls
        self._pool.enqueue(Job(run=run, calls=encoded, limits=limits, on_execution=on_execution, queue=self))

    def cancel(self) -> None:
        """Drop what has not begun; what runs ends unheard."""
        self.is_cancelled = True
        self._pool.drop(self)
