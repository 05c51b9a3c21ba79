"""Runs the jobs of one slot that need a harness sandbox: checks, and checkers of standard output.

It keeps the next one until a harness sandbox is ready. A check is then a session between both sandboxes; a checker runs
in the harness's sandbox alone, because it reads expected output. The slot owns the candidate's sandbox and the failure
policy. Nothing here blocks.
"""

import logging
from collections.abc import Callable
from typing import Any

from executor.pool.check_session import CheckSession
from executor.pool.connection import SandboxConnection
from executor.pool.lifecycle import MAX_PROGRAMS_PER_SANDBOX, PoolCounters, SandboxLifecycle
from executor.pool.queue import AnyJob, CheckJob, RunJob
from executor.pool.results import parse_execution
from executor.types import Execution, Outcome

_log = logging.getLogger(__name__)


class CheckRunner:
    """At most one job at a time, waiting or running.

    Args:
        harnesses: starts the sandboxes of check harnesses.
        counters: of the pool.
        deliver: called with the result of each job; with that of a check before its session has ended.
        fail: called with a job for which no harness sandbox can be started, and the reason.
    """

    def __init__(
        self,
        harnesses: SandboxLifecycle,
        *,
        counters: PoolCounters,
        deliver: Callable[[AnyJob, Outcome | Execution], None],
        fail: Callable[[AnyJob, str], None],
    ):
        self.waiting: AnyJob | None = None
        """The next job, until it starts."""
        self._harnesses = harnesses
        self._counters = counters
        self._deliver = deliver
        self._fail = fail
        self._session: CheckSession | None = None
        self._checker: RunJob | None = None

    @property
    def is_busy(self) -> bool:
        return self.waiting is not None or self._session is not None or self._checker is not None

    @property
    def is_in_session(self) -> bool:
        return self._session is not None

    def start_when_ready(self, candidate: SandboxConnection[Any], now: float) -> None:
        """Start the waiting job, or a harness sandbox for it."""
        job, harness = self.waiting, self._harnesses.connection
        if job is None or candidate.in_flight:
            return
        if harness is not None and harness.num_replies >= MAX_PROGRAMS_PER_SANDBOX:
            self._counters.num_recycled += 1
            self._harnesses.tear_down()
        elif harness is not None and harness.is_ready:
            self.waiting = None
            job.sent_at = now
            if isinstance(job, CheckJob):
                self._session = CheckSession(job, candidate=candidate, harness=harness, now=now)
            else:
                self._checker = job
                harness.send(job, *job.request)
        elif self._harnesses.has_failed_permanently:
            self.waiting = None
            self._harnesses.reset_failures()
            self._fail(job, f"no sandbox could be started: {self._harnesses.last_loss}")
        else:
            self._harnesses.start_if_vacant(now)

    def receive(self, connection: SandboxConnection[Any], header: dict[str, Any], body: bytes, now: float) -> bool:
        """Pass a message to the session; returns False when the candidate's sandbox is not clean after it."""
        assert self._session is not None
        self._session.receive(connection, header, body, now)
        return self._follow()

    def finish_checker(self, header: dict[str, Any], body: bytes) -> None:
        """Deliver the execution of the checker that has replied."""
        job, self._checker = self._checker, None
        assert job is not None
        self._deliver(job, parse_execution(job.run, job.limits, header, body))
        if not header["clean"]:
            self._harnesses.tear_down()

    def check_deadline(self, now: float) -> bool:
        """Check the time of the session; returns False when the candidate's sandbox must be replaced."""
        session = self._session
        if session is None:
            return True
        if session.outcome is None and session.job.queue.is_cancelled:
            session.cancel(now)
        if session.check_deadline(now):
            return self._follow()
        _log.warning("sandboxes replaced: a session did not end in time")
        self._session = None
        self._harnesses.tear_down()
        return False

    def withdraw(self) -> AnyJob | None:
        """Take back the job that has not started."""
        job, self.waiting = self.waiting, None
        return job

    def stop(self) -> CheckJob | None:
        """End the session because the candidate's sandbox was lost; returns its check if it is undecided."""
        session, self._session = self._session, None
        if session is None:
            return None
        self._harnesses.tear_down()
        return None if session.is_delivered else session.job

    def lose_checker(self) -> RunJob | None:
        """Return the checker that was running when the harness's sandbox was lost."""
        job, self._checker = self._checker, None
        return job

    def lose_harness(self) -> CheckJob | None:
        """End the session because the harness's sandbox was lost; returns its check if it is undecided."""
        session = self._session
        if session is None:
            return None
        if session.is_delivered:
            session.drop_harness()
            self._follow()
            return None
        self._session = None
        return session.job

    def _follow(self) -> bool:
        """Deliver the outcome once it is decided, and let go of the session once both sides have ended."""
        session = self._session
        if session is None or session.outcome is None:
            return True
        if not session.is_delivered:
            session.is_delivered = True
            self._deliver(session.job, session.outcome)
        if not session.has_ended:
            return True
        self._session = None
        if not session.is_clean:
            self._harnesses.tear_down()
        return session.is_clean
