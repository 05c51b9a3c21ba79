"""Runs the checks of one slot: keeps the next one until a harness sandbox is ready, then drives its session.

The slot owns the candidate's sandbox and the failure policy; this class owns the harness's sandboxes. It never blocks.
"""

import logging
from collections.abc import Callable
from typing import Any

from executor.pool.check_session import CheckSession
from executor.pool.connection import SandboxConnection
from executor.pool.lifecycle import MAX_PROGRAMS_PER_SANDBOX, PoolCounters, SandboxLifecycle
from executor.pool.queue import CheckJob
from executor.types import Outcome

_log = logging.getLogger(__name__)


class CheckRunner:
    """At most one check at a time, waiting or in session.

    Args:
        harnesses: starts the sandboxes of check harnesses.
        counters: of the pool.
        deliver: called with each outcome, before its session has ended.
        fail: called with a check for which no harness sandbox can be started, and the reason.
    """

    def __init__(
        self,
        harnesses: SandboxLifecycle,
        *,
        counters: PoolCounters,
        deliver: Callable[[CheckJob, Outcome], None],
        fail: Callable[[CheckJob, str], None],
    ):
        self.waiting: CheckJob | None = None
        """The next check, until its session starts."""
        self._harnesses = harnesses
        self._counters = counters
        self._deliver = deliver
        self._fail = fail
        self._session: CheckSession | None = None

    @property
    def is_busy(self) -> bool:
        return self.waiting is not None or self._session is not None

    @property
    def is_in_session(self) -> bool:
        return self._session is not None

    def start_when_ready(self, candidate: SandboxConnection[Any], now: float) -> None:
        """Start the session of the waiting check, or a sandbox for its harness."""
        job, harness = self.waiting, self._harnesses.connection
        if job is None or candidate.in_flight:
            return
        if harness is not None and harness.num_replies >= MAX_PROGRAMS_PER_SANDBOX:
            self._counters.num_recycled += 1
            self._harnesses.tear_down()
        elif harness is not None and harness.is_ready:
            self.waiting = None
            job.sent_at = now
            self._session = CheckSession(job, candidate=candidate, harness=harness, now=now)
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

    def withdraw(self) -> CheckJob | None:
        """Take back the check that has not started."""
        job, self.waiting = self.waiting, None
        return job

    def stop(self) -> CheckJob | None:
        """End the session because the candidate's sandbox was lost; returns its check if it is undecided."""
        session, self._session = self._session, None
        if session is None:
            return None
        self._harnesses.tear_down()
        return None if session.is_delivered else session.job

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
