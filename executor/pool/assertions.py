"""Grades programs by checks: pairs of warm sandboxes, one for the candidate and one for the test, a thread for each.

The rule of faults is the pool's: a program with which the candidate's sandbox died is tried once more in a fresh pair,
and then it is its own crash, unless the sandbox was provably killed from outside; where the tester's sandbox died, or
none can be started, there is no verdict. Clients are served in turn. It starts no thread and no sandbox before there is
something to check.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable

from executor.backends.base import Backend
from executor.pool.channel import START_TIMEOUT_S
from executor.pool.check_queue import Check, CheckQueue
from executor.pool.check_session import Abandoned, Dialogue
from executor.pool.link import Link, LinkLost, exchange
from executor.types import Outcome, Status, excess_of, unjudged

MAX_CHECKS_PER_PAIR = 5000
MAX_FAILED_STARTS = 3
MAX_DEATHS = 2
"""Of one side's sandbox with the same program."""
MAX_OUTSIDE_DEATHS = 20
_POLL_S = 0.2

_log = logging.getLogger(__name__)


class PairRunner:
    """Runs checks in pairs of sandboxes. Threads may share it."""

    def __init__(self, backend: Backend, *, num_pairs: int, time_factor: float = 1.0):
        """Start nothing yet.

        Args:
            backend: what starts the sandboxes.
            num_pairs: checks at the same time; each takes two sandboxes, of which one at a time is at work.
            time_factor: limits of time are multiplied by it.
        """
        assert num_pairs >= 1
        self._backend = backend
        self._num_pairs = num_pairs
        self.time_factor = time_factor
        self._in_turn: deque[CheckQueue] = deque()
        """Those in which something waits."""
        self._num_idle = 0
        self._threads: list[threading.Thread] = []
        self._is_closed = False
        self._changed = threading.Condition()

    def queue(self) -> CheckQueue:
        """Give a client a place in line."""
        return CheckQueue(self)

    def enqueue(self, check: Check) -> None:
        """Put a check in line.

        Raises:
            RuntimeError: the runner is closed.
        """
        check.limits = check.limits.scaled(self.time_factor)
        line = check.queue
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the executor is closed")
            if line.is_cancelled:
                return
            if not line.waiting:
                self._in_turn.append(line)
            line.waiting.append(check)
            num_waiting = sum(len(line.waiting) for line in self._in_turn)
            if num_waiting > self._num_idle and len(self._threads) < self._num_pairs:
                thread = threading.Thread(target=self._live, name="sandbox-pair", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()

    def drop(self, line: CheckQueue) -> None:
        """Forget the checks of a queue that have not begun."""
        with self._changed:
            if line.waiting:
                self._in_turn.remove(line)
                line.waiting.clear()

    def close(self) -> None:
        """End all sandboxes; what has no verdict yet is INFRA."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        while self._in_turn:
            self._pop().deliver(unjudged("the executor was closed", num_tests=1))

    def _live(self) -> None:
        """Drive one pair; the kernel ends a sandbox with the thread that started it."""
        pair = _Pair(self._backend, is_closed=lambda: self._is_closed)
        try:
            while (check := self._next()) is not None:
                if not check.is_cancelled:
                    check.deliver(_outcome_of(check, pair))
                    pair.tidy()
        finally:
            pair.end()

    def _next(self) -> Check | None:
        with self._changed:
            self._num_idle += 1
            self._changed.wait_for(lambda: self._is_closed or self._in_turn)
            self._num_idle -= 1
            return None if self._is_closed else self._pop()

    def _pop(self) -> Check:
        line = self._in_turn.popleft()
        check = line.waiting.popleft()
        if line.waiting:
            self._in_turn.append(line)
        return check


def _outcome_of(check: Check, pair: "_Pair") -> Outcome:
    detail = excess_of(check.source, check.limits)
    if detail is not None:
        return Outcome(status=Status.SOURCE_TOO_LONG, num_passed=0, num_tests=1, duration_s=0.0, detail=detail)
    try:
        return pair.judge(check)
    except Abandoned:
        return unjudged("the executor was closed", num_tests=1)
    except Exception as error:  # a fault of ours: one program has no verdict, the others go on
        _log.exception("a check could not be made")
        pair.end()
        return unjudged(f"{type(error).__name__}: {error}", num_tests=1)


class _Pair:
    """A candidate's sandbox and a tester's, and the session each is in; of one thread."""

    def __init__(self, backend: Backend, *, is_closed: Callable[[], bool]):
        self._backend = backend
        self._is_closed = is_closed
        self._links: tuple[Link, Link] | None = None
        self._dialogue: Dialogue | None = None
        self._last_loss = ""

    def judge(self, check: Check) -> Outcome:
        """Judge a program; `tidy` must follow.

        Raises:
            Abandoned: it was cancelled, or the runner closed.
        """
        num_deaths = [0, 0]
        num_outside = 0
        while True:
            links = self._ready_links()
            if links is None:
                return unjudged(f"no sandbox could be started: {self._last_loss}", num_tests=1)
            candidate, tester = links
            self._dialogue = Dialogue(
                check.task,
                check.limits,
                candidate=candidate,
                tester=tester,
                is_abandoned=lambda: check.is_cancelled or self._is_closed(),
            )
            try:
                return self._dialogue.judge(check.source)
            except LinkLost as loss:
                side = links.index(loss.link)
                if self._lose(loss):
                    num_outside += 1
                else:
                    num_deaths[side] += 1
            if num_deaths[0] == MAX_DEATHS:
                detail = "its sandbox died with it twice"
                return Outcome(status=Status.CRASH, num_passed=0, num_tests=1, duration_s=0.0, detail=detail)
            if num_deaths[1] == MAX_DEATHS or num_outside == MAX_OUTSIDE_DEATHS:
                return unjudged(f"the sandboxes died again and again: {self._last_loss}", num_tests=1)

    def tidy(self) -> None:
        """End the sessions of the last check, and the sandboxes where their reset is not proven or their time came."""
        if self._links is None or self._dialogue is None:
            return
        try:
            keeps = self._dialogue.finish()
        except LinkLost as loss:
            self._lose(loss)
            return
        if not keeps or self._links[0].num_sessions >= MAX_CHECKS_PER_PAIR:
            self.end()

    def end(self) -> None:
        """End both sandboxes."""
        links, self._links, self._dialogue = self._links, None, None
        for link in links or ():
            link.sandbox.kill()

    def _lose(self, loss: LinkLost) -> bool:
        """End both sandboxes after one died; whether it was killed from outside."""
        assert self._links is not None
        said = loss.link.sandbox.kill()
        self._last_loss = said or str(loss)
        _log.warning("pair of sandboxes replaced: %s%s", loss, f" ({said})" if said else "")
        for link in self._links:
            if link is not loss.link:
                link.sandbox.kill()
        self._links = self._dialogue = None
        return loss.link.sandbox.killed_from_outside

    def _ready_links(self) -> tuple[Link, Link] | None:
        """Give both sandboxes, started where they have to be; None when they cannot be."""
        if self._links is not None:
            try:
                exchange(self._links, 0.0)  # one that died while idle is nobody's fault
                return self._links
            except LinkLost as loss:
                self._lose(loss)
        for _ in range(MAX_FAILED_STARTS):
            started: list[Link] = []
            try:
                for _ in range(2):
                    started.append(Link(self._backend.start()))
                self._links = (started[0], started[1])
                self._await_greetings(self._links)
                return self._links
            except OSError as error:
                self._last_loss = str(error)
                _log.warning("a sandbox could not be started: %s", error)
                self._links = None
                for link in started:
                    link.sandbox.kill()
            except LinkLost as loss:
                self._lose(loss)
        return None

    def _await_greetings(self, links: tuple[Link, Link]) -> None:
        num_polls_left = int(START_TIMEOUT_S / _POLL_S)
        while (late := next((link for link in links if not link.is_ready), None)) is not None:
            if self._is_closed():
                raise Abandoned
            if num_polls_left == 0:
                raise LinkLost(late, "the sandbox did not start in time")
            num_polls_left -= 1
            exchange(links, _POLL_S)
