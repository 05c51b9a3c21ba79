"""One place for a sandbox in the pool: starts it, feeds it, believes or doubts it, replaces it. Never blocks.

What a sandbox answers is delivered at once where every call returned. Anything else, an exception, a timeout, a crash,
waits until a canary has come through the same sandbox after it: a broken sandbox must not look like a wrong program.

The rule of faults. A program in whose turn the sandbox died is retried alone, with a canary behind it; when that
sandbox dies too, it is the program's own crash. A sandbox that was provably killed from outside blames nobody. After a
failed canary everything that waited for it is retried, one by one, alone. Programs that had not begun are sent again
without blame.
"""

import logging
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor as ThreadPool
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from executor.backends.base import Backend, Sandbox
from executor.pool.canary import Canary, Doubts
from executor.pool.channel import Channel, ChannelLost
from executor.pool.ending import Ending
from executor.pool.job import Job
from executor.pool.results import execution_of
from executor.types import Execution, Status, unrun

MAX_CANDIDATES_PER_SANDBOX = 5000
MAX_FAILED_STARTS = 3
"""In a row, until a slot is given up: at once where no sandbox ever stood, else after `START_DELAYS_S`."""
START_DELAYS_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
MAX_DEATHS = 2
MAX_OUTSIDE_DEATHS = 20

_log = logging.getLogger(__name__)
Ticket = Job | Canary


@dataclass
class Counters:
    """What happened since the pool was made."""

    num_replaced: int = 0
    """Sandboxes that died, failed a canary or could not prove a clean reset."""
    num_recycled: int = 0
    """Sandboxes replaced because they had run `MAX_CANDIDATES_PER_SANDBOX` programs."""
    num_retried: int = 0
    num_canaries: int = 0
    num_failed_canaries: int = 0
    num_failed_starts: int = 0


class Jobs(Protocol):
    """Where a slot's programs come from."""

    def give_back(self, jobs: Iterable[Job]) -> None:
        """Put jobs that did not get their turn at the head of the line."""
        ...

    def finish(self, job: Job, execution: Execution) -> None: ...

    def has_waiting(self) -> bool: ...


class Slot:
    """A place for one sandbox; all methods but the constructor are called in the pool's thread."""

    def __init__(
        self,
        backend: Backend,
        jobs: Jobs,
        *,
        profile: str,
        counters: Counters,
        selector: selectors.BaseSelector,
        threads: ThreadPool,
        wake: Callable[[], None],
    ):
        self.channel: Channel[Ticket] | None = None
        self.num_failed_starts = 0
        self.last_loss = ""
        """Why the last sandbox was lost, in its own words where it said any."""
        self._backend = backend
        self._profile = profile
        self._jobs = jobs
        self._counters = counters
        self._selector = selector
        self._threads = threads
        self._wake = wake
        self._was_ready = False
        self._start_at = 0.0
        self._starting: Future[Sandbox] | None = None
        self._ending: Ending | None = None
        self._suspects: deque[Job] = deque()
        self._alone: Job | None = None
        self._doubts = Doubts()

    @property
    def is_busy(self) -> bool:
        return self.channel is not None and bool(self.channel.in_flight)

    @property
    def is_hopeless(self) -> bool:
        if self._ending is not None:
            return False  # its last words are still to be heard
        return self.num_failed_starts >= (len(START_DELAYS_S) if self._was_ready else MAX_FAILED_STARTS)

    def forgive(self) -> None:
        """Let a slot that was given up try again."""
        self.num_failed_starts = 0
        self._start_at = 0.0

    def can_take(self, num_ahead: int) -> bool:
        """Whether it may be sent a program from the line, behind `num_ahead` others at most."""
        channel = self.channel
        return (
            channel is not None
            and len(channel.in_flight) <= num_ahead
            and not self._suspects
            and self._alone is None
            and channel.num_answered + len(channel.in_flight) < MAX_CANDIDATES_PER_SANDBOX
        )

    def send(self, job: Job) -> None:
        assert self.channel is not None
        job.sent_at = time.monotonic()
        self.channel.send(job, *job.message)

    def advance(self, now: float) -> None:
        """Take what starting and ending sandboxes came to, and start one where one is due."""
        if self._ending is not None and self._ending.is_done:
            self._bury(self._ending)
        if self._starting is not None and self._starting.done():
            self._take_started(now)
        idle = self.channel is None and self._starting is None and self._ending is None
        if idle and not self.is_hopeless and now >= self._start_at:
            is_due = (
                bool(self._suspects) or self._jobs.has_waiting() or (self._was_ready and not self.num_failed_starts)
            )
            if is_due:
                self._starting = self._threads.submit(self._backend.start)
                self._starting.add_done_callback(lambda _: self._wake())

    def feed(self, now: float) -> None:
        """Send a suspect alone, or a canary where failures wait for one; write what can be written."""
        channel = self.channel
        if channel is None:
            return
        quiet = not channel.in_flight and not self._doubts
        if self._suspects and quiet:
            self._alone = self._suspects.popleft()
            self.send(self._alone)
            self._send_canary(channel)
        elif self._needs_canary(channel, now):
            self._send_canary(channel)
        elif quiet and channel.num_answered >= MAX_CANDIDATES_PER_SANDBOX:
            self._counters.num_recycled += 1
            self._end(channel)
            return
        if channel.wants_to_write:
            self.on_writable(channel)

    def on_writable(self, channel: Channel[Ticket]) -> None:
        if channel is not self.channel:
            return  # replaced a moment ago
        try:
            channel.write()
        except ChannelLost as loss:
            self._lose(channel, str(loss))
            return
        fd, watched = channel.sandbox.requests_fd, channel.sandbox.requests_fd in self._selector.get_map()
        if channel.wants_to_write and not watched:
            self._selector.register(fd, selectors.EVENT_WRITE, (self, channel))
        elif watched and not channel.wants_to_write:
            self._selector.unregister(fd)

    def on_readable(self, channel: Channel[Ticket]) -> None:
        if channel is not self.channel:
            return  # replaced a moment ago
        try:
            answers = deque(channel.read())
            while answers and channel is self.channel:
                self._take(channel, *answers.popleft())
            if channel is not self.channel:  # condemned: what it answered after that is worth nothing
                self._jobs.give_back(ticket for ticket, _, _ in answers if isinstance(ticket, Job))
                return
            self._was_ready = self._was_ready or channel.ready
            if channel.ready:
                self.num_failed_starts = 0
        except ChannelLost as loss:
            self._lose(channel, str(loss))

    def check_deadline(self, now: float) -> None:
        if self.channel is not None:
            try:
                self.channel.check_deadline(now)
            except ChannelLost as loss:
                self._lose(self.channel, str(loss))

    def give_up(self, detail: str) -> None:
        """Let go of the suspects: there is no sandbox to retry them in."""
        while self._suspects:
            self._jobs.finish(self._suspects.popleft(), unrun(detail))

    def close(self) -> None:
        """End the sandbox; blocks until it has ended."""
        if self._starting is not None:
            try:
                self._starting.result().kill()
            except OSError as error:
                _log.debug("a sandbox did not start before the end: %s", error)
            self._starting = None
        if self.channel is not None:
            self._end(self.channel)
        if self._ending is not None:
            self._ending.last_words()
            self._ending = None

    def _take(self, channel: Channel[Ticket], ticket: Ticket, reply: dict[str, Any], body: bytes) -> None:
        if isinstance(ticket, Canary):
            if not ticket.is_right(reply, body):
                self._condemn(channel)
                return
            self._confirm()
        else:
            execution = execution_of(ticket.run, ticket.limits, reply, body)
            answered = execution.failure is None and all(result.error is None for result in execution.results)
            if answered and ticket is not self._alone:
                self._jobs.finish(ticket, execution)
            else:
                self._doubts.add(ticket, execution)
        if not reply["clean"]:
            self._counters.num_replaced += 1
            _log.info("sandbox replaced: a reset could not be proven")
            self._confirm()
            self._give_back(channel)
            self._end(channel)

    def _confirm(self) -> None:
        self._alone = None
        for job, execution in self._doubts.take_all():
            self._jobs.finish(job, execution)

    def _needs_canary(self, channel: Channel[Ticket], now: float) -> bool:
        if not self._doubts or any(isinstance(ticket, Canary) for ticket in channel.in_flight):
            return False
        is_last = channel.num_answered >= MAX_CANDIDATES_PER_SANDBOX
        is_idle = not channel.in_flight and (is_last or not self._jobs.has_waiting())
        return is_idle or self._doubts.are_due(now)

    def _send_canary(self, channel: Channel[Ticket]) -> None:
        canary = Canary(self._profile)
        channel.send(canary, *canary.message)
        self._counters.num_canaries += 1

    def _condemn(self, channel: Channel[Ticket]) -> None:
        """After a failed canary nothing that waited for it is believed; what was alone is to blame."""
        self._counters.num_failed_canaries += 1
        self._counters.num_replaced += 1
        why = "a known-good program failed in it"
        _log.warning("sandbox replaced: %s; %d failures are run again", why, len(self._doubts))
        doubted = [job for job, _ in self._doubts.take_all()]
        if self._alone is not None:
            self._blame(self._alone, from_outside=False)
            self._alone = None
        else:
            self._suspects.extend(doubted)
            self._counters.num_retried += len(doubted)
        self._give_back(channel)
        self._end(channel, why=why)

    def _lose(self, channel: Channel[Ticket], why: str) -> None:
        """Replace a sandbox that died; whose fault it was is known when it has been looked at."""
        self._counters.num_replaced += 1
        accused: list[Job] = []
        if not channel.ready:
            self._count_failed_start()
            if self._alone is not None:
                self._suspects.appendleft(self._alone)
        elif self._alone is not None:
            accused = [self._alone]
        elif channel.in_flight and isinstance(channel.in_flight[0], Job):
            accused = [channel.in_flight[0]]
        spared = [job for job, _ in self._doubts.take_all() if job is not self._alone]
        self._jobs.give_back(spared)
        self._give_back(channel, but=(*accused, self._alone))
        self._alone = None
        self._end(channel, accused, why=why)

    def _give_back(self, channel: Channel[Ticket], but: Sequence[Job | None] = ()) -> None:
        self._jobs.give_back(job for job in channel.in_flight if isinstance(job, Job) and job not in but)

    def _end(self, channel: Channel[Ticket], accused: Sequence[Job] = (), *, why: str = "") -> None:
        for fd in (channel.sandbox.replies_fd, channel.sandbox.requests_fd):
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
        self.channel = None
        self._ending = Ending(channel.sandbox, accused, why=why, threads=self._threads, wake=self._wake)

    def _bury(self, ending: Ending) -> None:
        self._ending = None
        self.last_loss = ending.last_words() or self.last_loss
        if ending.accused:
            outside = " (killed from outside)" * ending.was_from_outside
            _log.warning("sandbox replaced: %s%s", self.last_loss, outside)
        for job in ending.accused:
            self._blame(job, from_outside=ending.was_from_outside)

    def _blame(self, job: Job, *, from_outside: bool) -> None:
        job.num_outside_deaths += from_outside
        job.num_deaths += not from_outside
        if job.num_deaths >= MAX_DEATHS:
            detail = "its sandbox died with it twice"
            self._jobs.finish(job, Execution(failure=Status.CRASH, results=(), duration_s=0.0, detail=detail))
        elif job.num_outside_deaths >= MAX_OUTSIDE_DEATHS:
            self._jobs.finish(job, unrun("its sandboxes were killed from outside again and again"))
        else:
            self._counters.num_retried += 1
            self._suspects.append(job)

    def _take_started(self, now: float) -> None:
        assert self._starting is not None
        starting, self._starting = self._starting, None
        error = starting.exception()
        if error is None:
            self.channel = Channel(starting.result())
            self._selector.register(self.channel.sandbox.replies_fd, selectors.EVENT_READ, (self, self.channel))
            return
        self.last_loss = str(error)
        _log.warning("a sandbox could not be started: %s", error)
        self._count_failed_start()

    def _count_failed_start(self) -> None:
        self._counters.num_failed_starts += 1
        self.num_failed_starts += 1
        if self._was_ready and not self.is_hopeless:
            self._start_at = time.monotonic() + START_DELAYS_S[self.num_failed_starts]
