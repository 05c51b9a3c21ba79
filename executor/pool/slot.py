"""One slot of the pool: dispatches jobs to its sandboxes, confirms failures by canaries, and replaces sandboxes.

A slot has a sandbox for candidates and, from its first check on, one for the check harness. Results are delivered at
once if every call was answered. Any other result (an exception, a timeout, a crash) waits until a canary has passed in
the same sandbox after it: a broken sandbox must not look like a wrong program.

Failure policy. A job whose sandbox died while it ran is retried alone, with a canary after it; if that sandbox dies
too, the job's status is `crash` (`infra` if it was the harness's sandbox). A sandbox that was provably killed from
outside incriminates no job. After a failed canary all unconfirmed jobs are retried, each alone. Jobs that had not
started are sent again. Nothing here blocks; all methods run in the pool's thread.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable

from executor.pool.canary import Canary, UnconfirmedFailures
from executor.pool.check_runner import CheckRunner
from executor.pool.connection import ConnectionLost, Message, SandboxConnection
from executor.pool.lifecycle import MAX_PROGRAMS_PER_SANDBOX, PoolCounters, SandboxLifecycle
from executor.pool.queue import AnyJob, CheckJob, JobSource, RunJob, Suspects
from executor.pool.results import parse_execution
from executor.types import Execution, Outcome, Status

_CONFIRMED = (Status.PASSED, Status.WRONG, Status.INFRA)
"""Outcomes of checks that need no canary: every call was answered, or the check itself is at fault."""

_log = logging.getLogger(__name__)
Ticket = RunJob | CheckJob | Canary


class Slot:
    """A sandbox for candidates and one for check harnesses, and the jobs they have been given."""

    def __init__(
        self,
        build_lifecycle: Callable[["Slot"], SandboxLifecycle],
        jobs: JobSource,
        *,
        profile: str,
        counters: PoolCounters,
    ):
        self.candidates = build_lifecycle(self)
        self._harnesses = build_lifecycle(self)
        self._profile = profile
        self._jobs = jobs
        self._counters = counters
        self.suspects = Suspects(jobs, counters)
        self._alone: AnyJob | None = None
        self._unconfirmed: UnconfirmedFailures[tuple[AnyJob, Execution | Outcome]] = UnconfirmedFailures()
        self._checks = CheckRunner(
            self._harnesses, counters=counters, deliver=self._deliver_check, fail=self._fail_check
        )

    @property
    def is_busy(self) -> bool:
        connection = self.candidates.connection
        return self._checks.is_busy or (connection is not None and bool(connection.in_flight))

    @property
    def last_loss(self) -> str:
        """Why a sandbox was lost last, in its own words if it left any."""
        return self.candidates.last_loss or self._harnesses.last_loss

    def can_take(self, num_ahead: int) -> bool:
        """Return whether a job may be sent, behind at most `num_ahead` others."""
        connection = self.candidates.connection
        return (
            connection is not None
            and len(connection.in_flight) <= num_ahead
            and not self._checks.is_busy
            and not self.suspects.waiting
            and self._alone is None
            and connection.num_replies + len(connection.in_flight) < MAX_PROGRAMS_PER_SANDBOX
        )

    @property
    def _connection(self) -> SandboxConnection[Ticket]:
        """The connection to the candidates' sandbox, where there is one."""
        assert self.candidates.connection is not None
        return self.candidates.connection

    def send(self, job: AnyJob) -> None:
        """Send a program, or keep a check until both sandboxes are idle."""
        if isinstance(job, CheckJob) or job.is_trusted:
            self._checks.waiting = job
        else:
            job.sent_at = time.monotonic()
            self._connection.send(job, *job.request)

    def advance(self, now: float) -> None:
        """Handle starts and teardowns that have finished, and start a sandbox if one is due."""
        for sandboxes in (self.candidates, self._harnesses):
            if (teardown := sandboxes.advance()) is not None:
                self.suspects.add_lost(teardown, is_harness=sandboxes is self._harnesses)
        was_replaced = self.candidates.was_ready and not self.candidates.num_failed_starts
        if self.suspects.waiting or self._jobs.has_waiting() or was_replaced:
            self.candidates.start_if_vacant(now)

    def feed(self, now: float) -> None:
        """Send what is due: a suspect alone, a check, a canary; then write."""
        connection = self.candidates.connection
        if connection is None:
            return
        is_quiet = not self.is_busy and not self._unconfirmed
        if self.suspects.waiting and is_quiet:
            self._alone = self.suspects.waiting.popleft()
            self.send(self._alone)
            if not self._checks.is_busy:
                self._send_canary()
        elif self._needs_canary(connection, now):
            self._send_canary()
        elif is_quiet and connection.num_replies >= MAX_PROGRAMS_PER_SANDBOX:
            self._counters.num_recycled += 1
            self.candidates.tear_down()
            return
        self._checks.start_when_ready(connection, now)
        for sandboxes in (self.candidates, self._harnesses):
            if sandboxes.connection is not None and sandboxes.connection.wants_to_write:
                self.on_writable(sandboxes.connection)

    def on_writable(self, connection: SandboxConnection[Ticket]) -> None:
        if (sandboxes := self._find(connection)) is None:
            return
        try:
            connection.write()
        except ConnectionLost as loss:
            self._lose(sandboxes, str(loss))
        sandboxes.watch_writable()

    def on_readable(self, connection: SandboxConnection[Ticket]) -> None:
        if (sandboxes := self._find(connection)) is None:
            return
        try:
            messages = deque(connection.read())
        except ConnectionLost as loss:
            self._lose(sandboxes, str(loss))
            return
        if connection.is_ready:
            sandboxes.confirm_ready()
        while messages and sandboxes.connection is connection:
            self._handle(connection, messages.popleft())
        if messages:  # after a failed canary, further replies of the same sandbox count for nothing
            self._jobs.give_back(ticket for ticket, _, _ in messages if isinstance(ticket, RunJob))

    def check_deadlines(self, now: float) -> None:
        if not self._checks.check_deadline(now):
            self._replace_unclean()
        for sandboxes in (self.candidates, self._harnesses):
            if sandboxes.connection is not None:
                try:
                    sandboxes.connection.check_deadline(now)
                except ConnectionLost as loss:
                    self._lose(sandboxes, str(loss))

    def close(self) -> None:
        """End the sandboxes; blocks until they have ended."""
        self.candidates.close()
        self._harnesses.close()

    def _find(self, connection: SandboxConnection[Ticket]) -> SandboxLifecycle | None:
        """Return where a connection belongs; None if it was closed a moment ago."""
        if self.candidates.connection is connection:
            return self.candidates
        return self._harnesses if self._harnesses.connection is connection else None

    def _handle(self, connection: SandboxConnection[Ticket], message: Message[Ticket]) -> None:
        ticket, header, body = message
        if isinstance(ticket, CheckJob):
            if not self._checks.receive(connection, header, body, time.monotonic()):
                self._replace_unclean()
            return
        if connection is self._harnesses.connection:
            self._checks.finish_checker(header, body)
            return
        if isinstance(ticket, Canary):
            if not ticket.has_passed(header, body):
                self._quarantine()
                return
            self._confirm()
        else:
            execution = parse_execution(ticket.run, ticket.limits, header, body)
            is_answered = execution.failure is None and all(result.error is None for result in execution.results)
            self._deliver(ticket, execution, is_confirmed=is_answered)
        if not header["clean"]:
            self._replace_unclean()

    def _deliver(self, job: AnyJob, result: Execution | Outcome, *, is_confirmed: bool) -> None:
        if is_confirmed and job is not self._alone:
            self._jobs.finish(job, result)
        else:
            self._unconfirmed.add((job, result))

    def _deliver_check(self, job: AnyJob, result: Outcome | Execution) -> None:
        """Deliver the result of a job with a harness. The result of a checker needs no canary."""
        if isinstance(result, Execution):
            self._alone = None if self._alone is job else self._alone
            self._jobs.finish(job, result)
        else:
            self._deliver(job, result, is_confirmed=result.status in _CONFIRMED)

    def _fail_check(self, job: AnyJob, detail: str) -> None:
        self._alone = None if self._alone is job else self._alone
        self._jobs.fail(job, Status.INFRA, detail)

    def _replace_unclean(self) -> None:
        self._counters.num_replaced += 1
        _log.info("sandbox replaced: a clean reset could not be proven")
        self._confirm()
        self._give_back()
        self.candidates.tear_down()

    def _confirm(self) -> None:
        self._alone = None
        for job, result in self._unconfirmed.pop_all():
            self._jobs.finish(job, result)

    def _needs_canary(self, connection: SandboxConnection[Ticket], now: float) -> bool:
        if not self._unconfirmed or self._checks.is_in_session:
            return False
        if any(isinstance(ticket, Canary) for ticket in connection.in_flight):
            return False
        has_more = self._jobs.has_waiting() and connection.num_replies < MAX_PROGRAMS_PER_SANDBOX
        is_idle = not connection.in_flight and not has_more
        return is_idle or self._alone is not None or self._unconfirmed.needs_canary_now(now)

    def _send_canary(self) -> None:
        canary = Canary(self._profile)
        self._connection.send(canary, *canary.request)
        self._counters.num_canaries += 1

    def _quarantine(self) -> None:
        """After a failed canary, retry all unconfirmed jobs; a job that ran alone is to blame."""
        self._counters.num_failed_canaries += 1
        self._counters.num_replaced += 1
        jobs = [job for job, _ in self._unconfirmed.pop_all()]
        reason = "a known-good program failed in it"
        _log.warning("sandbox replaced: %s; %d failures are retried", reason, len(jobs))
        if self._alone is not None:
            self._alone.count_loss(is_harness=False, was_killed_externally=False)
            self.suspects.add(self._alone)
            self._alone = None
        else:
            self.suspects.add(*jobs)
        self._give_back()
        self.candidates.tear_down(reason=reason)

    def _lose(self, sandboxes: SandboxLifecycle, reason: str) -> None:
        """Replace a sandbox that died; whose fault it was is known after its teardown."""
        connection = sandboxes.connection
        assert connection is not None
        self._counters.num_replaced += 1
        if not connection.is_ready:
            sandboxes.count_failed_start()
        suspects = self._stop_harness() if sandboxes is self._harnesses else self._stop_candidate()
        sandboxes.tear_down(suspects, reason=reason)

    def _stop_candidate(self) -> list[AnyJob]:
        """Give back the other jobs of a lost candidate sandbox; return those that may have killed it."""
        connection, alone, undecided = self._connection, self._alone, self._checks.stop()
        suspects: list[AnyJob] = []
        if undecided is not None:
            suspects = [undecided]
        elif alone is not None and (not connection.is_ready or alone is self._checks.waiting):
            self.suspects.waiting.appendleft(alone)
        elif alone is not None:
            suspects = [alone]
        elif connection.is_ready and connection.in_flight and isinstance(connection.in_flight[0], RunJob):
            suspects = [connection.in_flight[0]]
        self._release_unconfirmed()
        self._give_back(excluded=(*suspects, alone))
        self._alone = None
        return suspects

    def _stop_harness(self) -> list[AnyJob]:
        """End the session of a lost harness sandbox; return the job that may have killed it."""
        if (checker := self._checks.lose_checker()) is not None:
            self._alone = None
            return [checker]
        undecided = self._checks.lose_harness()
        if undecided is None:
            return []
        self._alone = None
        self._release_unconfirmed()
        self.candidates.tear_down()
        return [undecided]

    def _release_unconfirmed(self) -> None:
        """Run unconfirmed jobs again: their sandbox died before a canary could confirm them."""
        self._jobs.give_back([job for job, _ in self._unconfirmed.pop_all() if job is not self._alone])

    def _give_back(self, excluded: Iterable[AnyJob | None] = ()) -> None:
        jobs: list[AnyJob] = [ticket for ticket in self._connection.in_flight if isinstance(ticket, RunJob)]
        if (waiting := self._checks.withdraw()) is not None:
            jobs.append(waiting)
        self._jobs.give_back([job for job in jobs if job not in excluded])
