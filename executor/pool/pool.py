"""Sandboxes kept warm: takes programs from many queues in turn, keeps every sandbox fed, answers as programs end.

One thread of its own watches all pipes and calls back; callers only put programs in line. `executor.pool.slot` holds the
rule of faults. When no sandbox can be started any more, what waits is INFRA. It does not judge.
"""

import logging
import os
import selectors
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from executor.backends.base import Backend
from executor.pool.job import Job, RunQueue, run_all
from executor.pool.slot import Counters, Slot
from executor.types import DEFAULT_LIMITS, START_UP_S, Execution, Limits, Run, Status, excess_of, unrun

_WINDOW = 2
"""Programs sent to a sandbox at once, so that it never waits for us; it runs them one by one."""
_POLL_S = 0.25

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PoolStats:
    """A look at a pool: how it stands now, and what happened since it was made (see `executor.pool.slot.Counters`)."""

    num_slots: int
    num_busy: int
    num_waiting: int
    num_replaced: int
    num_recycled: int
    num_retried: int
    num_canaries: int
    num_failed_canaries: int
    num_failed_starts: int
    statuses: dict[str, int]
    """Programs run, by how they failed; `ok` where every call was answered."""


class SandboxPool:
    """Runs programs in sandboxes of one backend. Threads may share it."""

    def __init__(self, backend: Backend, *, num_workers: int, time_factor: float = 1.0, profile: str = "cpu"):
        """Start nothing yet; sandboxes start with the first program.

        Args:
            backend: what starts them.
            num_workers: sandboxes at work at the same time.
            time_factor: how many times longer than the reference machine this one takes; limits of time are multiplied.
            profile: of the backend's sandboxes; their canaries use what it adds.

        Raises:
            ValueError: num_workers is below 1.
        """
        if num_workers < 1:
            raise ValueError(f"the number of workers must be at least 1, not {num_workers}")
        self.description = f"{backend.description}; {num_workers} worker{'s' * (num_workers > 1)}"
        self.backend_name = backend.name
        self.time_factor = time_factor
        self._start_up_s = START_UP_S[profile]
        self._lock = threading.Lock()
        self._in_turn: deque[RunQueue] = deque()
        self._returned: deque[Job] = deque()
        self._unanswered: set[Job] = set()
        self._statuses: Counter[str] = Counter()
        self._counters = Counters()
        self._threads = ThreadPoolExecutor(max_workers=num_workers, thread_name_prefix="sandbox-starter")
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = os.pipe()
        for fd in (self._wake_reader, self._wake_writer):
            os.set_blocking(fd, False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._slots = [
            Slot(
                backend,
                self,
                profile=profile,
                counters=self._counters,
                selector=self._selector,
                threads=self._threads,
                wake=self._wake,
            )
            for _ in range(num_workers)
        ]
        self._is_closed = False
        """Takes no more programs."""
        self._is_released = False
        """`close` was called."""
        self._thread = threading.Thread(target=self._live, name="sandbox-pool", daemon=True)
        self._thread.start()

    def __enter__(self) -> "SandboxPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def last_loss(self) -> str:
        """Why sandboxes were last lost, in their own words where they said any."""
        return "; ".join(dict.fromkeys(slot.last_loss for slot in self._slots if slot.last_loss))

    @property
    def is_open(self) -> bool:
        """Whether it takes programs: not after `close`, nor after a fault of its own."""
        return not self._is_closed

    def queue(self) -> RunQueue:
        """Give a client a place in line."""
        return RunQueue(self)

    def run(
        self,
        runs: Sequence[Run],
        limits: Limits = DEFAULT_LIMITS,
        on_result: Callable[[int, Execution], None] | None = None,
    ) -> list[Execution]:
        """Run programs, each in a process of its own.

        Args:
            runs: the programs.
            limits: hold for each of them.
            on_result: called with (position in `runs`, execution) as each one ends, in this thread.

        Returns:
            One execution for each run, in their order.
        """
        return run_all(self.queue(), runs, limits, on_result)

    def stats(self) -> PoolStats:
        """Look at the pool."""
        with self._lock:
            num_waiting = len(self._returned) + sum(len(line.waiting) for line in self._in_turn)
            statuses = dict(self._statuses)
        return PoolStats(
            num_slots=len(self._slots),
            num_busy=sum(slot.is_busy for slot in self._slots),
            num_waiting=num_waiting,
            statuses=statuses,
            **asdict(self._counters),
        )

    def close(self) -> None:
        """End all sandboxes; what still waits is INFRA."""
        with self._lock:
            self._is_closed = True
            if self._is_released:
                return
            self._is_released = True
        self._wake()
        self._thread.join()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    # -- called by queues and slots

    def enqueue(self, job: Job) -> None:
        """Put a job in line.

        Raises:
            RuntimeError: the pool is closed.
        """
        if self.time_factor != 1.0 or self._start_up_s:
            job.limits = job.limits.scaled(self.time_factor).lengthened(self._start_up_s)
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the executor is closed")
            if job.queue.is_cancelled:
                return
            is_first = not job.queue.waiting
            job.queue.waiting.append(job)
            self._unanswered.add(job)
            if is_first:
                self._in_turn.append(job.queue)
        self._wake()

    def drop(self, line: RunQueue) -> None:
        """Forget the jobs of a queue that have not begun."""
        with self._lock:
            self._unanswered.difference_update(line.waiting)
            line.waiting.clear()

    def give_back(self, jobs: Iterable[Job]) -> None:
        with self._lock:
            self._returned.extendleft(reversed([*jobs]))

    def finish(self, job: Job, execution: Execution) -> None:
        with self._lock:
            self._statuses[execution.failure or "ok"] += 1
            self._unanswered.discard(job)
        job.deliver(execution)

    def has_waiting(self) -> bool:
        return bool(self._returned or self._in_turn)

    # -- the pool's thread

    def _live(self) -> None:
        try:
            while not self._is_closed:
                self._step()
        except Exception:  # a bug of ours: nobody may wait for ever
            _log.exception("the pool of sandboxes failed")
            with self._lock:
                self._is_closed = True
        finally:
            self._wind_up()

    def _step(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            slot.advance(now)
        self._give_up()
        self._deal_out()
        for slot in self._slots:
            slot.feed(now)
        for key, events in self._selector.select(_POLL_S):
            if key.data is None:
                _empty(self._wake_reader)
                continue
            slot, channel = key.data
            if events & selectors.EVENT_WRITE:
                slot.on_writable(channel)
            if events & selectors.EVENT_READ:
                slot.on_readable(channel)
        now = time.monotonic()
        for slot in self._slots:
            slot.check_deadline(now)

    def _deal_out(self) -> None:
        """Give every sandbox one program before any gets a second one ahead."""
        for num_ahead in range(_WINDOW):
            for slot in self._slots:
                if slot.can_take(num_ahead):
                    job = self._next_job()
                    if job is None:
                        return
                    slot.send(job)

    def _next_job(self) -> Job | None:
        while True:
            with self._lock:
                job = self._pop()
            detail = None if job is None else excess_of(job.run.source, job.limits)
            if job is None or detail is None:
                return job
            self.finish(job, Execution(failure=Status.SOURCE_TOO_LONG, results=(), duration_s=0.0, detail=detail))

    def _pop(self) -> Job | None:
        while self._returned:
            job = self._returned.popleft()
            if not job.queue.is_cancelled:
                return job
            self._unanswered.discard(job)
        while self._in_turn:
            line = self._in_turn.popleft()
            if not line.waiting:  # cancelled
                continue
            job = line.waiting.popleft()
            if line.waiting:
                self._in_turn.append(line)
            return job
        return None

    def _give_up(self) -> None:
        """Where a sandbox failed to start too often, its suspects are lost; where all did, so is what waits."""
        hopeless = [slot for slot in self._slots if slot.is_hopeless]
        for slot in hopeless:
            slot.give_up("no sandbox could be started to retry it alone")
        if len(hopeless) == len(self._slots):
            while (job := self._next_job()) is not None:
                self.finish(job, unrun("no sandbox could be started"))
            for slot in self._slots:
                slot.forgive()

    def _wind_up(self) -> None:
        with self._lock:
            unanswered = [*self._unanswered]
        for job in unanswered:
            self.finish(job, unrun("the executor was closed"))
        for slot in self._slots:
            slot.close()
        self._threads.shutdown()
        self._selector.close()

    def _wake(self) -> None:
        try:
            os.write(self._wake_writer, b"\0")
        except BlockingIOError:  # it has been woken often enough
            return


def _empty(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        return
