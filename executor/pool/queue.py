"""Jobs, and the queue through which one client submits them to the pools.

A job is a program to call (`RunJob`, one sandbox) or a program under a check (`CheckJob`, two sandboxes). Its future is
resolved in the pool's thread. Nothing here knows how sandboxes work.
"""

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

from executor.pool.lifecycle import PoolCounters, Teardown
from executor.sandbox.framing import pack_frame
from executor.types import Execution, Limits, Outcome, Run, Status, Task

Result = TypeVar("Result", Execution, Outcome)
MAX_CRASHES = 2
"""Sandboxes a job may lose for no reason known from outside; the first one may not be its fault."""
MAX_EXTERNAL_KILLS = 20

_log = logging.getLogger(__name__)


def encode_calls(run: Run) -> bytes:
    """Encode the calls of a program as the sandbox reads them."""
    return json.dumps(run.calls, separators=(",", ":"), allow_nan=False).encode("ascii")


def build_request(run: Run, limits: Limits, calls: bytes) -> tuple[dict[str, Any], bytes]:
    """Build header and body of the frame that runs a program.

    The worker reads the header only. The body is a frame of its own that the candidate's process reads itself, so that
    no program is ever in the memory from which the next one is forked.
    """
    header: dict[str, Any] = {name: getattr(limits, name) for name in limits.__slots__ if name != "source_bytes"}
    program: dict[str, Any] = {"source": run.source, "entry_point": run.entry_point}
    if run.prelude:
        program["prelude"] = run.prelude
    if run.stdin is None:
        return header, pack_frame(program, calls)
    header["stdin"] = True
    return header, pack_frame({**program, "argv": run.argv, "files": dict(run.files)}, run.stdin)


@dataclass(eq=False, kw_only=True)
class Job(Generic[Result]):
    """A submitted program; `finish` or `fail` is called at most once."""

    limits: Limits
    queue: "JobQueue"
    future: "Future[Result]" = field(default_factory=Future)
    num_crashes: int = 0
    """Sandboxes that died while it ran, for no reason known from outside."""
    num_harness_crashes: int = 0
    """The same of sandboxes of its check harness."""
    num_external_kills: int = 0
    """Sandboxes that were killed from outside while it ran."""
    is_next: bool = False
    """Whether it goes before the waiting jobs of its queue."""
    queued_at: float = field(default_factory=time.monotonic)
    sent_at: float = 0.0

    @property
    def source(self) -> str:
        raise NotImplementedError

    @property
    def loss_limit_reached(self) -> tuple[Status, str] | None:
        """Status and detail once it has lost too many sandboxes; None while it may be retried."""
        if self.num_crashes >= MAX_CRASHES:
            return Status.CRASH, "the program crashed its sandbox twice"
        if self.num_harness_crashes >= MAX_CRASHES:
            return Status.INFRA, "the sandbox of its check crashed twice"
        if self.num_external_kills >= MAX_EXTERNAL_KILLS:
            return Status.INFRA, f"its sandbox was killed from outside {MAX_EXTERNAL_KILLS} times"
        return None

    def check_source_size(self) -> str | None:
        """Describe by how much the source exceeds its limit; None if it does not."""
        num_bytes, max_bytes = len(self.source.encode("utf-8", "surrogatepass")), self.limits.source_bytes
        return None if num_bytes <= max_bytes else f"{num_bytes} bytes of source; {max_bytes} are allowed"

    def count_loss(self, *, is_harness: bool, was_killed_externally: bool) -> None:
        """Count a sandbox that was lost while this job ran."""
        if was_killed_externally:
            self.num_external_kills += 1
        elif is_harness:
            self.num_harness_crashes += 1
        else:
            self.num_crashes += 1

    def finish(self, result: Result) -> None:
        """Resolve the future, or cancel it where the client has cancelled its queue."""
        if self.queue.is_cancelled:
            self.future.cancel()
        if self.future.set_running_or_notify_cancel():
            sent_at = self.sent_at or time.monotonic()
            self.future.set_result(replace(result, queued_s=sent_at - self.queued_at))

    def fail(self, status: Status, detail: str) -> None:
        """Finish without a result of the program."""
        raise NotImplementedError


@dataclass(eq=False, kw_only=True)
class RunJob(Job[Execution]):
    """A program and its calls."""

    run: Run
    calls: bytes
    is_trusted: bool = False
    """Whether it runs in the sandbox of check harnesses, where no candidate ever runs: a checker."""

    @property
    def source(self) -> str:
        return self.run.source

    @property
    def request(self) -> tuple[dict[str, Any], bytes]:
        """Header and body of its frame."""
        return build_request(self.run, self.limits, self.calls)

    def fail(self, status: Status, detail: str) -> None:
        self.finish(Execution(failure=status, results=(), duration_s=0.0, detail=detail))


@dataclass(eq=False, kw_only=True)
class CheckJob(Job[Outcome]):
    """A program under the check of a task."""

    task: Task
    program: str
    prelude: str = ""
    """Source that runs before the program, and before the check."""

    @property
    def source(self) -> str:
        return self.program

    def fail(self, status: Status, detail: str) -> None:
        self.finish(Outcome(status=status, num_passed=0, num_tests=1, duration_s=0.0, detail=detail))


AnyJob = RunJob | CheckJob


class JobPool(Protocol):
    """A pool, as a queue sees it."""

    def enqueue(self, job: AnyJob) -> None: ...

    def drop(self, queue: "JobQueue") -> None: ...


class JobSource(Protocol):
    """Where a slot's jobs come from and their results go."""

    def give_back(self, jobs: Iterable[AnyJob]) -> None:
        """Put jobs that have not started at the head of the queue."""
        ...

    def finish(self, job: AnyJob, result: Any) -> None: ...

    def fail(self, job: AnyJob, status: Status, detail: str) -> None: ...

    def has_waiting(self) -> bool: ...


class Suspects:
    """The jobs of a slot that may have broken a sandbox, or that ran in a broken one; each is retried alone."""

    def __init__(self, jobs: JobSource, counters: PoolCounters):
        self.waiting: deque[AnyJob] = deque()
        self._jobs = jobs
        self._counters = counters

    def add(self, *jobs: AnyJob) -> None:
        """Retry jobs, or fail those that have lost too many sandboxes."""
        for job in jobs:
            if job.loss_limit_reached is not None:
                self._jobs.fail(job, *job.loss_limit_reached)
            else:
                self._counters.num_retried += 1
                self.waiting.append(job)

    def add_lost(self, teardown: Teardown, *, is_harness: bool) -> None:
        """Count a lost sandbox against the jobs that may have killed it, then retry or fail them."""
        if teardown.suspects:
            note = " (killed from outside)" if teardown.was_killed_externally else ""
            _log.warning("sandbox replaced: %s%s", teardown.reason, note)
        for job in teardown.suspects:
            job.count_loss(is_harness=is_harness, was_killed_externally=teardown.was_killed_externally)
            self.add(job)

    def fail_all(self, detail: str) -> None:
        """Fail all jobs, because no sandbox can be started for them."""
        while self.waiting:
            self._jobs.fail(self.waiting.popleft(), Status.INFRA, detail)


class JobQueue:
    """The jobs of one client. Pools take from all queues in turn, so that no client waits behind another's batch.

    Args:
        find_pool: returns the pool of a profile; raises ValueError where this machine has no sandbox for it.
    """

    def __init__(self, find_pool: Callable[[str], JobPool]):
        self._find_pool = find_pool
        self._pools: dict[str, JobPool] = {}
        self.is_cancelled = False

    def __enter__(self) -> "JobQueue":
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def submit(
        self, run: Run, limits: Limits, *, calls: bytes | None = None, is_trusted: bool = False, is_next: bool = False
    ) -> "Future[Execution]":
        """Submit a program to run; never blocks on other jobs.

        Args:
            run: the program.
            limits: of this program, for the reference machine.
            calls: `encode_calls(run)` if the caller has it already.
            is_trusted: run it where no candidate ever runs, as a checker.
            is_next: run it before the waiting jobs of this queue.

        Returns:
            A future that is resolved in the pool's thread (its callbacks must be quick), or cancelled with the queue.

        Raises:
            RuntimeError: the pool is closed.
            ValueError: this machine has no sandbox of the program's profile.
        """
        encoded = encode_calls(run) if calls is None else calls
        job = RunJob(run=run, calls=encoded, limits=limits, queue=self, is_trusted=is_trusted, is_next=is_next)
        return self._enqueue(job, run.profile)

    def submit_check(self, task: Task, program: str, limits: Limits, *, prelude: str = "") -> "Future[Outcome]":
        """Submit a program to grade by the check of its task; see `submit`."""
        job = CheckJob(task=task, program=program, prelude=prelude, limits=limits, queue=self)
        return self._enqueue(job, task.profile)

    def cancel(self) -> None:
        """Drop the jobs that have not started; results of running ones are discarded."""
        self.is_cancelled = True
        for pool in list(self._pools.values()):
            pool.drop(self)

    def _enqueue(self, job: Any, profile: str) -> Any:
        if self.is_cancelled:
            job.future.cancel()
            return job.future
        if profile not in self._pools:
            self._pools[profile] = self._find_pool(profile)
        self._pools[profile].enqueue(job)
        return job.future


def run_all(
    queue: JobQueue,
    runs: Sequence[Run],
    limits: Limits,
    on_result: Callable[[int, Execution], None] | None = None,
) -> list[Execution]:
    """Submit programs, wait, and return one execution for each, in their order.

    Args:
        queue: cancelled at the end.
        runs: the programs.
        limits: of each program.
        on_result: called with (position in `runs`, execution) as each one ends, in this thread.
    """
    with queue:
        positions = {queue.submit(run, limits): index for index, run in enumerate(runs)}
        for future in as_completed(positions):
            if on_result is not None:
                on_result(positions[future], future.result())
    return [future.result() for future in positions]
