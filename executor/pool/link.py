"""A warm sandbox in which one session at a time is held (`executor.sandbox.session`), seen by the one thread that drives it."""

import itertools
import os
import select
from collections import deque
from collections.abc import Iterable
from typing import Any

from executor.backends.base import Sandbox
from executor.sandbox.framing import pack_frame, take_frame

_READ_BYTES = 1 << 18


class LinkLost(Exception):
    """The sandbox of a link is gone, late, or talks nonsense."""

    def __init__(self, link: "Link", why: str):
        super().__init__(why)
        self.link = link


class Link:
    """Lines to and from the session in a sandbox."""

    def __init__(self, sandbox: Sandbox):
        self.sandbox = sandbox
        self.is_ready = False
        self.num_sessions = 0
        self.lines: deque[bytes] = deque()
        """Said by the session and not yet taken, without line breaks."""
        self.reply: dict[str, Any] | None = None
        """The worker's last word on the session, once it ended."""
        self._ids = itertools.count()
        self._session_id: int | None = None
        self._max_body_bytes = 0
        self._outgoing = bytearray()
        self._incoming = bytearray()
        os.set_blocking(sandbox.requests_fd, False)
        os.set_blocking(sandbox.replies_fd, False)

    def begin(self, header: dict[str, Any], body: bytes) -> None:
        """Begin a session with what its process reads, a frame; the one before must have ended."""
        assert self._session_id is None
        self.num_sessions += 1
        self._session_id = next(self._ids)
        self._max_body_bytes = header["output_bytes"]
        self._say({"id": self._session_id, **header}, body)

    def send_line(self, line: str) -> None:
        self._say({"call": True}, line.encode("ascii") + b"\n")

    def end(self) -> None:
        """Ask for the end of the session, if there is one; `reply` comes then."""
        if self.is_busy:
            self._say({"end": True})

    def forget(self) -> None:
        """Drop what was said in the session before."""
        assert self._session_id is None
        self.lines.clear()
        self.reply = None

    @property
    def is_busy(self) -> bool:
        """Whether a session has begun whose last word has not come."""
        return self._session_id is not None

    @property
    def wants_to_write(self) -> bool:
        return bool(self._outgoing)

    def write(self) -> None:
        """Write what the pipe takes; raises LinkLost."""
        try:
            while self._outgoing:
                del self._outgoing[: os.write(self.sandbox.requests_fd, self._outgoing[: 1 << 16])]
        except BlockingIOError:
            return
        except OSError as error:
            raise LinkLost(self, f"the sandbox reads no more: {error.strerror}") from None

    def read(self) -> None:
        """Read what has come into `lines` and `reply`; raises LinkLost."""
        try:
            chunk = os.read(self.sandbox.replies_fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise LinkLost(self, f"the sandbox cannot be heard: {error.strerror}") from None
        if not chunk:
            raise LinkLost(self, "the sandbox ended")
        self._incoming += chunk
        try:
            while (frame := take_frame(self._incoming, max_body_bytes=self._max_body_bytes)) is not None:
                self._take(*frame)
        except (ValueError, KeyError, TypeError) as error:
            raise LinkLost(self, f"the sandbox talks nonsense: {error}") from None

    def _say(self, header: dict[str, Any], body: bytes = b"") -> None:
        self._outgoing += pack_frame(header, body)

    def _take(self, header: dict[str, Any], body: bytes) -> None:
        if not self.is_ready:
            if header != {"ready": True}:
                raise ValueError("no greeting")
            self.is_ready = True
            return
        if self._session_id is None or header["id"] != self._session_id:
            raise ValueError("words of no session")
        self.lines += body.split(b"\n")[:-1]  # what follows the last line break was cut off
        if "lines" not in header:
            self.reply = header
            self._session_id = None


def exchange(links: Iterable[Link], timeout_s: float) -> None:
    """Wait until something can be written or read, and do so; raises LinkLost."""
    poller = select.poll()
    of_fd: dict[int, Link] = {}
    for link in links:
        of_fd[link.sandbox.replies_fd] = of_fd[link.sandbox.requests_fd] = link
        poller.register(link.sandbox.replies_fd, select.POLLIN)
        if link.wants_to_write:
            poller.register(link.sandbox.requests_fd, select.POLLOUT)
    for fd, _ in poller.poll(timeout_s * 1000):
        link = of_fd[fd]
        if fd == link.sandbox.replies_fd:
            link.read()
        else:
            link.write()
