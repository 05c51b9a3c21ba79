"""Keeps sandboxes warm: takes jobs from all queues in turn, keeps every slot fed, resolves futures as jobs end.

One thread watches all pipes; clients only enqueue jobs. `executor.pool.slot` holds the failure policy. When no sandbox
can be started any more, waiting jobs end with the status `infra`. It does not grade.
"""

import contextlib
import logging
import os
import selectors
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Any

from executor.backends.base import Backend
from executor.pool.lifecycle import PoolCounters, PoolStats, SandboxLifecycle
from executor.pool.queue import AnyJob, JobQueue, run_all
from executor.pool.slot import Slot
from executor.types import DEFAULT_LIMITS, START_UP_S, Execution, Limits, Run, Status

_WINDOW = 2
"""Programs sent to a sandbox at once, so that it never waits for the host; it runs them one by one."""
_POLL_S = 0.25

_log = logging.getLogger(__name__)


class SandboxPool:
    """Runs programs in sandboxes of one backend. Thread-safe."""

    def __init__(self, backend: Backend, *, num_workers: int, time_factor: float = 1.0, profile: str = "cpu"):
        """Create the pool; sandboxes start with the first program.

        Args:
            backend: starts the sandboxes.
            num_workers: programs that run at the same time.
            time_factor: how many times longer than the reference machine this one takes; time limits are multiplied.
            profile: of the backend's sandboxes; their canaries use the packages it adds.

        Raises:
            ValueError: num_workers is below 1.
        """
        if num_workers < 1:
            raise ValueError(f"the number of workers must be at least 1, not {num_workers}")
        self._backend = backend
        self.backend_name = backend.name
        self.time_factor = time_factor
        self._start_up_s = START_UP_S[profile]
        self._lock = threading.Lock()
        self._waiting: dict[JobQueue, deque[AnyJob]] = {}
        """Queues with waiting jobs, the next one first."""
        self._returned: deque[AnyJob] = deque()
        self._unfinished: set[AnyJob] = set()
        self._statuses: Counter[str] = Counter()
        self._counters = PoolCounters()
        self._threads = ThreadPoolExecutor(max_workers=2 * num_workers, thread_name_prefix="sandbox-starter")
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = os.pipe()
        for fd in (self._wake_reader, self._wake_writer):
            os.set_blocking(fd, False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        build_lifecycle = partial(
            SandboxLifecycle,
            backend,
            counters=self._counters,
            selector=self._selector,
            threads=self._threads,
            wake=self._wake,
        )
        self._slots = [
            Slot(build_lifecycle, self, profile=profile, counters=self._counters) for _ in range(num_workers)
        ]
        self._is_closed = False
        """Accepts no more jobs: after `close`, or after an internal error."""
        self._is_released = False
        """`close` was called."""
        self._thread = threading.Thread(target=self._run_loop, name="sandbox-pool", daemon=True)
        self._thread.start()

    def __enter__(self) -> "SandboxPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def description(self) -> str:
        """What the backend says of itself, of which some parts are known once a sandbox has started."""
        num_workers = len(self._slots)
        return f"{self._backend.description}; {num_workers} worker{'s' * (num_workers > 1)}"

    @property
    def last_loss(self) -> str:
        """Why sandboxes were lost last, in their own words if they left any."""
        return "; ".join(dict.fromkeys(slot.last_loss for slot in self._slots if slot.last_loss))

    @property
    def is_open(self) -> bool:
        """Whether it accepts jobs: not after `close`, nor after an internal error."""
        return not self._is_closed

    def queue(self) -> JobQueue:
        """Create a queue for a client of this pool alone."""
        return JobQueue(lambda profile: self)

    def run(
        self,
        runs: Sequence[Run],
        limits: Limits = DEFAULT_LIMITS,
        on_result: Callable[[int, Execution], None] | None = None,
    ) -> list[Execution]:
        """Run programs, each in a process of its own; see `run_all`."""
        return run_all(self.queue(), runs, limits, on_result)

    def stats(self) -> PoolStats:
        """Return the current state and the counters."""
        with self._lock:
            num_waiting = len(self._returned) + sum(map(len, self._waiting.values()))
            statuses = dict(self._statuses)
        return PoolStats(
            num_slots=len(self._slots),
            num_busy=sum(slot.is_busy for slot in self._slots),
            num_waiting=num_waiting,
            statuses=statuses,
            **asdict(self._counters),
        )

    def close(self) -> None:
        """End all sandboxes; unfinished jobs end with the status `infra`."""
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

    def enqueue(self, job: AnyJob) -> None:
        """Add a job to the waiting jobs of its queue.

        Raises:
            RuntimeError: the pool is closed.
        """
        if self.time_factor != 1.0 or self._start_up_s:
            job.limits = job.limits.scaled(self.time_factor, extra_s=self._start_up_s)
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the executor is closed")
            is_cancelled = job.queue.is_cancelled
            must_wake = not self._waiting
            if not is_cancelled:
                jobs = self._waiting.setdefault(job.queue, deque())
                jobs.appendleft(job) if job.is_next else jobs.append(job)
                self._unfinished.add(job)
        if is_cancelled:
            job.future.cancel()
        elif must_wake:  # else a wake-up is pending, or all slots are full
            self._wake()

    def drop(self, queue: JobQueue) -> None:
        """Cancel the jobs of a queue that have not started."""
        with self._lock:
            jobs = self._waiting.pop(queue, ())
            self._unfinished.difference_update(jobs)
        for job in jobs:
            job.future.cancel()

    def give_back(self, jobs: Iterable[AnyJob]) -> None:
        with self._lock:
            self._returned.extendleft(reversed([*jobs]))

    def finish(self, job: AnyJob, result: Any) -> None:
        if isinstance(result, Execution):
            status = result.failure or "ok"
        else:
            status = "ok" if result.status in (Status.PASSED, Status.WRONG) else result.status
        self._count(job, status)
        job.finish(result)  # pyright: ignore[reportArgumentType]  # a result of the job's own kind

    def fail(self, job: AnyJob, status: Status, detail: str) -> None:
        self._count(job, status)
        job.fail(status, detail)

    def has_waiting(self) -> bool:
        return bool(self._returned or self._waiting)

    def _count(self, job: AnyJob, status: str) -> None:
        with self._lock:
            self._unfinished.discard(job)
            if not job.queue.is_cancelled:
                self._statuses[status] += 1

    # -- the pool's thread

    def _run_loop(self) -> None:
        try:
            while not self._is_closed:
                self._step()
        except Exception:  # a bug here must not leave clients waiting forever
            _log.exception("the pool of sandboxes failed")
            with self._lock:
                self._is_closed = True
        finally:
            self._shut_down()

    def _step(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            slot.advance(now)
        self._fail_if_no_sandbox_starts()
        self._dispatch()
        for slot in self._slots:
            slot.feed(now)
        for key, events in self._selector.select(_POLL_S):
            if key.data is None:
                _drain(self._wake_reader)
                continue
            slot, connection = key.data
            if events & selectors.EVENT_WRITE:
                slot.on_writable(connection)
            if events & selectors.EVENT_READ:
                slot.on_readable(connection)
        now = time.monotonic()
        for slot in self._slots:
            slot.check_deadlines(now)

    def _dispatch(self) -> None:
        """Give every slot one job before any slot gets a second one ahead."""
        for num_ahead in range(_WINDOW):
            for slot in self._slots:
                if slot.can_take(num_ahead):
                    job = self._next_job()
                    if job is None:
                        return
                    slot.send(job)

    def _next_job(self) -> AnyJob | None:
        while True:
            with self._lock:
                job = self._pop_waiting()
            detail = None if job is None else job.check_source_size()
            if job is None or detail is None:
                return job
            self.fail(job, Status.SOURCE_TOO_LONG, detail)

    def _pop_waiting(self) -> AnyJob | None:
        while self._returned:
            job = self._returned.popleft()
            if not job.queue.is_cancelled:
                return job
            self._unfinished.discard(job)
            job.future.cancel()
        if not self._waiting:
            return None
        queue = next(iter(self._waiting))
        jobs = self._waiting.pop(queue)
        job = jobs.popleft()
        if jobs:
            self._waiting[queue] = jobs  # at the end: the other queues come first
        return job

    def _fail_if_no_sandbox_starts(self) -> None:
        """Fail the suspects of slots whose sandboxes do not start, and all waiting jobs if this holds for all slots."""
        failed = [slot for slot in self._slots if slot.candidates.has_failed_permanently]
        for slot in failed:
            slot.suspects.fail_all("no sandbox could be started to retry it alone")
        if len(failed) == len(self._slots):
            while (job := self._next_job()) is not None:
                self.fail(job, Status.INFRA, f"no sandbox could be started: {self.last_loss}")
            for slot in self._slots:
                slot.candidates.reset_failures()

    def _shut_down(self) -> None:
        with self._lock:
            unfinished = [*self._unfinished]
        for job in unfinished:
            self.fail(job, Status.INFRA, "the executor was closed")
        for slot in self._slots:
            slot.close()
        self._threads.shutdown()
        self._selector.close()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # the pipe is full: enough wake-ups are pending
            os.write(self._wake_writer, b"\0")


def _drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 4096):
            pass
