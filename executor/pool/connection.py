"""The connection to one started sandbox: frames in, frames out, and the requests in flight. It never blocks.

A request runs one program. One whose header names a `session` stays in flight while lines travel in both directions
(`executor.sandbox.session`), until either side ends it. What the bytes mean is up to the caller.
"""

import itertools
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from executor.backends.base import Sandbox
from executor.sandbox.framing import pack_frame, take_frame

START_TIMEOUT_S = 60.0
GRACE_S = 10.0
"""Added to a program's wall time before its sandbox is given up."""
_READ_BYTES = 1 << 18
_WRITE_BYTES = 1 << 16
Ticket = TypeVar("Ticket")
Message = tuple[Ticket, dict[str, Any], bytes]
"""The ticket of a request, a header and a body: the reply to it, or lines of its session (`"lines" in header`)."""


class ConnectionLost(Exception):
    """The sandbox has ended, is overdue, or broke the protocol."""


class SandboxConnection(Generic[Ticket]):
    """Buffers of one sandbox and the requests it has not replied to, oldest first, by the sender's ticket."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox
        self.is_ready = False
        self.num_replies = 0
        self.in_flight: deque[Ticket] = deque()
        self._ids: deque[int] = deque()
        self._next_id = itertools.count()
        self._wall_times_s: deque[float] = deque()
        self._decode: Callable[[bytes], bytes] | None = getattr(sandbox, "decode_replies", None)
        self._outgoing = bytearray()
        self._incoming = bytearray()
        self._max_body_bytes = 0
        self._protocol_error: str | None = None
        self._was_overdue = False
        """At the last check, with nothing received since."""
        self._deadline = time.monotonic() + START_TIMEOUT_S
        os.set_blocking(sandbox.requests_fd, False)
        os.set_blocking(sandbox.replies_fd, False)

    @property
    def wants_to_write(self) -> bool:
        return bool(self._outgoing)

    def send(self, ticket: Ticket, header: dict[str, Any], body: bytes) -> None:
        """Buffer a request; `header` holds its limits, `body` the frame that the program's process reads."""
        number = next(self._next_id)
        self.in_flight.append(ticket)
        self._ids.append(number)
        self._wall_times_s.append(header["wall_time_s"])
        self._max_body_bytes = max(self._max_body_bytes, header["output_bytes"])
        self._outgoing += pack_frame({"id": number, **header}, body)
        if len(self.in_flight) == 1:
            self._restart_deadline()

    def send_line(self, line: str) -> None:
        """Buffer a line for the session in flight."""
        self._outgoing += pack_frame({"call": True}, line.encode("ascii") + b"\n")

    def end_session(self) -> None:
        """Request the end of the session in flight; its reply follows."""
        self._outgoing += pack_frame({"end": True})

    def write(self) -> None:
        """Write as much as the pipe accepts.

        Raises:
            ConnectionLost: the other end is closed.
        """
        try:
            while self._outgoing:
                with memoryview(self._outgoing) as buffer:
                    written = os.write(self.sandbox.requests_fd, buffer[:_WRITE_BYTES])
                del self._outgoing[:written]
                if len(self.in_flight) == 1:
                    self._restart_deadline()  # a program's time begins when it has been sent
        except BlockingIOError:
            return
        except OSError as error:
            raise ConnectionLost(f"writing to the sandbox failed: {error.strerror}") from None

    def read(self) -> list[Message[Ticket]]:
        """Read once and return the messages that are complete.

        Raises:
            ConnectionLost: the stream ended; messages before its end were returned by the call before.
        """
        try:
            chunk = os.read(self.sandbox.replies_fd, _READ_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise ConnectionLost(f"reading from the sandbox failed: {error.strerror}") from None
        if not chunk:
            raise ConnectionLost("the sandbox ended")
        self._was_overdue = False
        messages: list[Message[Ticket]] = []
        try:
            self._incoming += chunk if self._decode is None else self._decode(chunk)
            while self._incoming and (message := self._next_message()) is not None:
                messages.append(message)
        except (ValueError, KeyError, TypeError) as error:
            self._protocol_error = f"protocol error from the sandbox: {error}"
        return messages

    def check_deadline(self, now: float) -> None:
        """Check the oldest request, or the start.

        Overdue means late at two checks with no data read between them: the first time it may be this thread that was
        late.

        Raises:
            ConnectionLost: the sandbox is overdue or broke the protocol.
        """
        if self._protocol_error is not None:
            raise ConnectionLost(self._protocol_error)
        was_overdue = self._was_overdue
        self._was_overdue = (bool(self.in_flight) or not self.is_ready) and now > self._deadline
        if was_overdue and self._was_overdue:
            raise ConnectionLost("the sandbox did not answer in time")

    def _next_message(self) -> Message[Ticket] | None:
        frame = take_frame(self._incoming, max_body_bytes=self._max_body_bytes)
        if frame is not None and not self.is_ready:
            if frame[0] != {"ready": True}:
                raise ValueError("no ready message")
            self.is_ready = True
            self._restart_deadline()
            frame = take_frame(self._incoming, max_body_bytes=self._max_body_bytes)
        if frame is None:
            return None
        header, body = frame
        if not self.in_flight or header["id"] != self._ids[0]:
            raise ValueError("a reply without a request")
        if "lines" in header:
            return self.in_flight[0], header, body
        self._ids.popleft()
        self._wall_times_s.popleft()
        self.num_replies += 1
        self._restart_deadline()
        return self.in_flight.popleft(), header, body

    def _restart_deadline(self) -> None:
        if self.is_ready and self._wall_times_s:
            self._deadline = time.monotonic() + self._wall_times_s[0] + GRACE_S
