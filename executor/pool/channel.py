"""One started sandbox as the pool sees it: frames going in, frames coming out, and whose turn it is. Never blocks."""

import itertools
import os
import time
from collections import deque
from typing import Any, Generic, TypeVar

from executor.backends.base import Sandbox
from executor.sandbox.framing import pack_frame, take_frame

START_TIMEOUT_S = 60.0
GRACE_S = 10.0
"""On top of a program's own wall time, before its sandbox is given up."""
_READ_BYTES = 1 << 18
Ticket = TypeVar("Ticket")


class ChannelLost(Exception):
    """The sandbox is gone, late, or talks nonsense."""


class Channel(Generic[Ticket]):
    """A sandbox with its buffers and the programs it has been sent and has not answered, oldest first.

    A program is known here by the ticket its sender gave with it.
    """

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox
        self.ready = False
        self.num_answered = 0
        self.in_flight: deque[Ticket] = deque()
        self._ids: deque[int] = deque()
        self._next_id = itertools.count()
        self._wall_times: deque[float] = deque()
        self._outgoing = bytearray()
        self._incoming = bytearray()
        self._max_body_bytes = 0
        self._fault: str | None = None
        self._was_overdue = False
        """At the last check, and nothing has come since."""
        self.deadline = time.monotonic() + START_TIMEOUT_S
        os.set_blocking(sandbox.requests_fd, False)
        os.set_blocking(sandbox.replies_fd, False)

    @property
    def wants_to_write(self) -> bool:
        return bool(self._outgoing)

    def send(self, ticket: Ticket, header: dict[str, Any], body: bytes) -> None:
        """Queue a program; `header` holds its limits, `body` the frame that its process reads."""
        number = next(self._next_id)
        self.in_flight.append(ticket)
        self._ids.append(number)
        self._wall_times.append(header["wall_time_s"])
        self._max_body_bytes = max(self._max_body_bytes, header["output_bytes"])
        self._outgoing += pack_frame({"id": number, **header}, body)
        if len(self.in_flight) == 1:
            self._set_deadline()

    def write(self) -> None:
        """Write what the pipe takes.

        Raises:
            ChannelLost: nobody reads any more.
        """
        try:
            while self._outgoing:
                written = os.write(self.sandbox.requests_fd, memoryview(self._outgoing)[: 1 << 16])
                del self._outgoing[:written]
                if len(self.in_flight) == 1:
                    self._set_deadline()  # its time begins when it has been sent
        except BlockingIOError:
            return
        except OSError as error:
            raise ChannelLost(f"the sandbox reads no more: {error.strerror}") from None

    def read(self) -> list[tuple[Ticket, dict[str, Any], bytes]]:
        """Read what has come: (ticket, header, body) of the programs answered.

        Raises:
            ChannelLost: the stream ended; whole answers before the end came with the call before.
        """
        try:
            chunk = os.read(self.sandbox.replies_fd, _READ_BYTES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise ChannelLost(f"the sandbox cannot be heard: {error.strerror}") from None
        if not chunk:
            raise ChannelLost("the sandbox ended")
        self._was_overdue = False
        self._incoming += chunk
        answers = []
        try:
            while (answer := self._next_answer()) is not None:
                answers.append(answer)
        except (ValueError, KeyError, TypeError) as error:
            self._fault = f"the sandbox talks nonsense: {error}"
        return answers

    def check_deadline(self, now: float) -> None:
        """Raise ChannelLost when the program in turn, or the start, is overdue, or what came made no sense.

        Overdue is who has been late at two checks, with a look at the pipe between them that found nothing: it may be
        we who were late, held up by what another sandbox said, or stopped.
        """
        if self._fault is not None:
            raise ChannelLost(self._fault)
        was_overdue = self._was_overdue
        self._was_overdue = (bool(self.in_flight) or not self.ready) and now > self.deadline
        if was_overdue and self._was_overdue:
            raise ChannelLost("the sandbox did not answer in time")

    def _next_answer(self) -> tuple[Ticket, dict[str, Any], bytes] | None:
        frame = take_frame(self._incoming, max_body_bytes=self._max_body_bytes)
        if frame is not None and not self.ready:
            if frame[0] != {"ready": True}:
                raise ValueError("no greeting")
            self.ready = True
            self._set_deadline()
            frame = take_frame(self._incoming, max_body_bytes=self._max_body_bytes)
        if frame is None:
            return None
        header, body = frame
        if not self.in_flight or header["id"] != self._ids[0]:
            raise ValueError("an answer to no question")
        self._ids.popleft()
        self._wall_times.popleft()
        self.num_answered += 1
        self._set_deadline()
        return self.in_flight.popleft(), header, body

    def _set_deadline(self) -> None:
        if self.ready and self._wall_times:
            self.deadline = time.monotonic() + self._wall_times[0] + GRACE_S
