"""A bound on open connections, so that strangers cannot use up the descriptors that sandboxes are started with.

It knows nothing of HTTP: who connects need not have said a word, or have shown a token.
"""

import asyncio
import resource
import socket
import time
import weakref
from typing import Any

from executor.service.logs import log_event

MAX_CONNECTIONS = 2000
MIN_CONNECTIONS = 16
DESCRIPTORS_PER_SLOT = 24
"""Of one slot: its sandboxes of all profiles, its pair for checks, and one that is being started."""
OTHER_DESCRIPTORS = 48
_TURNED_AWAY_AT_ONCE = 64
_LOG_EVERY_S = 10.0


class BoundedListener(socket.socket):
    """A listening socket that closes at once what comes beyond a number of open connections.

    Args:
        listener: gives its descriptor away to this one.
        max_connections: that may be open at the same time.
    """

    def __init__(self, listener: socket.socket, max_connections: int):
        super().__init__(fileno=listener.detach())
        self._max_connections = max_connections
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        """A connection that was closed is let go of by the event loop."""
        self._refusals = _Rare("connections turned away", max_connections=max_connections)

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept the next connection that there is room for; BlockingIOError where none waits."""
        for _ in range(_TURNED_AWAY_AT_ONCE):
            connection, address = super().accept()
            if len(self._open) < self._max_connections:
                self._open.add(connection)
                return connection, address
            connection.close()
            self._refusals.happened()
        raise BlockingIOError  # the event loop has more to do; it comes back


class AcceptErrors:
    """An event loop's exception handler: an accept that fails for want of descriptors is a line now and then.

    The event loop tries it again every second, many times, and would write a traceback each time.
    """

    def __init__(self) -> None:
        self._failures = _Rare("connections cannot be accepted")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "accept() out of system resource" in context.get("message", ""):
            self._failures.happened()
        else:
            loop.default_exception_handler(context)


class _Rare:
    """An event that may come often and is logged seldom."""

    def __init__(self, event: str, **values: Any):
        self._event = event
        self._values = values
        self._number = 0
        self._log_at = 0.0

    def happened(self) -> None:
        self._number += 1
        now = time.monotonic()
        if now >= self._log_at:
            self._log_at = now + _LOG_EVERY_S
            log_event(self._event, number=self._number, **self._values)


def connections_beside(num_slots: int) -> int:
    """Raise the limit on descriptors as far as is needed and allowed; returns how many connections it has room for."""
    reserve = OTHER_DESCRIPTORS + DESCRIPTORS_PER_SLOT * num_slots
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + reserve
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = wanted if soft == resource.RLIM_INFINITY else soft
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, room - reserve))
