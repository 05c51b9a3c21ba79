"""The lifecycle of one sandbox after another in the same place: start, connect, tear down, and back off.

Starts and teardowns run in threads; everything else runs in the pool's thread and never blocks. It does not know what
runs in the sandbox, and blames nobody: it reports whether a sandbox was killed from outside.
"""

import logging
import selectors
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor as ThreadPool
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from executor.backends.base import Backend, Sandbox
from executor.pool.connection import SandboxConnection

MAX_PROGRAMS_PER_SANDBOX = 5000
MAX_FAILED_STARTS = 3
"""In a row, if no sandbox has ever been ready here."""
START_DELAYS_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Before each further start, if one has been ready before; then the place has failed permanently."""

_log = logging.getLogger(__name__)


@dataclass
class PoolCounters:
    """What happened since the pool was created."""

    num_replaced: int = 0
    """Sandboxes that died, failed a canary or could not prove a clean reset."""
    num_recycled: int = 0
    """Sandboxes replaced because they had run `MAX_PROGRAMS_PER_SANDBOX` programs."""
    num_retried: int = 0
    num_canaries: int = 0
    num_failed_canaries: int = 0
    num_failed_starts: int = 0


@dataclass(frozen=True, kw_only=True)
class PoolStats:
    """The state of a pool now, and what happened since it was created (see `PoolCounters`)."""

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
    """Programs run, by failure; `ok` if every call was answered. Checks count by status, passed and wrong as `ok`."""


@dataclass(frozen=True)
class Teardown:
    """The end of a sandbox."""

    suspects: Sequence[Any]
    """Jobs that may have caused it."""
    reason: str
    """In the sandbox's own words if it left any."""
    was_killed_externally: bool
    """Nothing that ran in the sandbox can have ended it."""


class SandboxLifecycle:
    """At most one sandbox at a time; `connection` is None while there is none.

    Args:
        backend: starts the sandboxes.
        owner: registered with the selector together with the connection.
        counters: of the pool.
        selector: watches the connection's pipes.
        threads: run starts and teardowns.
        wake: wakes the pool's thread, from any thread.
    """

    def __init__(
        self,
        backend: Backend,
        owner: object,
        *,
        counters: PoolCounters,
        selector: selectors.BaseSelector,
        threads: ThreadPool,
        wake: Callable[[], None],
    ):
        self.connection: SandboxConnection[Any] | None = None
        self.num_failed_starts = 0
        self.was_ready = False
        self.last_loss = ""
        self._backend = backend
        self._owner = owner
        self._counters = counters
        self._selector = selector
        self._threads = threads
        self._wake = wake
        self._is_watched = False
        """Whether the selector watches the connection for writability."""
        self._start_at = 0.0
        self._starting: Future[Sandbox] | None = None
        self._ending: Future[Teardown] | None = None

    @property
    def is_vacant(self) -> bool:
        """Whether there is no sandbox, and none is being started or torn down."""
        return self.connection is None and self._starting is None and self._ending is None

    @property
    def has_failed_permanently(self) -> bool:
        if self._ending is not None:
            return False  # its reason is not known yet
        return self.num_failed_starts >= (len(START_DELAYS_S) if self.was_ready else MAX_FAILED_STARTS)

    def reset_failures(self) -> None:
        """Allow further starts."""
        self.num_failed_starts = 0
        self._start_at = 0.0

    def start_if_vacant(self, now: float) -> None:
        """Start a sandbox if there is none, unless starts failed too often or the delay after one has not passed."""
        if self.is_vacant and not self.has_failed_permanently and now >= self._start_at:
            self._starting = self._threads.submit(self._backend.start)
            self._starting.add_done_callback(lambda _: self._wake())

    def advance(self) -> Teardown | None:
        """Connect to a sandbox that has started; return a teardown that has finished."""
        if self._starting is not None and self._starting.done():
            self._connect(self._starting)
        if self._ending is None or not self._ending.done():
            return None
        teardown, self._ending = self._ending.result(), None
        self.last_loss = teardown.reason or self.last_loss
        return teardown

    def confirm_ready(self) -> None:
        """Note that the sandbox has sent its ready message."""
        self.was_ready = True
        self.num_failed_starts = 0

    def count_failed_start(self) -> None:
        self._counters.num_failed_starts += 1
        self.num_failed_starts += 1
        if self.was_ready and not self.has_failed_permanently:
            self._start_at = time.monotonic() + START_DELAYS_S[self.num_failed_starts]

    def watch_writable(self) -> None:
        """Have the selector watch for writability exactly while there is something to write."""
        connection = self.connection
        if connection is None or connection.wants_to_write == self._is_watched:
            return
        self._is_watched = connection.wants_to_write
        if self._is_watched:
            self._selector.register(connection.sandbox.requests_fd, selectors.EVENT_WRITE, (self._owner, connection))
        else:
            self._selector.unregister(connection.sandbox.requests_fd)

    def tear_down(self, suspects: Sequence[Any] = (), *, reason: str = "") -> None:
        """End the sandbox, if there is one, in a thread; `advance` returns the teardown when it is done."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        self._selector.unregister(connection.sandbox.replies_fd)
        if self._is_watched:
            self._selector.unregister(connection.sandbox.requests_fd)
            self._is_watched = False
        self._ending = self._threads.submit(_end_sandbox, connection.sandbox, suspects, reason)
        self._ending.add_done_callback(lambda _: self._wake())

    def close(self) -> None:
        """End the sandbox; blocks until it has ended."""
        if self._starting is not None:
            try:
                self._starting.result().kill()
            except OSError as error:
                _log.debug("a sandbox failed to start before the pool closed: %s", error)
            self._starting = None
        self.tear_down()
        if self._ending is not None:
            self._ending.result()
            self._ending = None

    def _connect(self, starting: Future[Sandbox]) -> None:
        self._starting = None
        error = starting.exception()
        if error is not None:
            self.last_loss = str(error)
            _log.warning("a sandbox failed to start: %s", error)
            self.count_failed_start()
            return
        self.connection = SandboxConnection(starting.result())
        data = (self._owner, self.connection)
        self._selector.register(self.connection.sandbox.replies_fd, selectors.EVENT_READ, data)


def _end_sandbox(sandbox: Sandbox, suspects: Sequence[Any], reason: str) -> Teardown:
    try:
        last_words = sandbox.kill()
    except Exception as error:
        _log.warning("ending a sandbox failed: %s", error)
        return Teardown(suspects, reason, was_killed_externally=False)
    return Teardown(suspects, last_words or reason, was_killed_externally=sandbox.killed_from_outside)
