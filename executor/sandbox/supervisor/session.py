"""A session: lines travel between the host and a running candidate (or a check harness) until either ends it."""

import os
import select
import time

from ..framing import read_header, write_frame
from .child import TICK_S, ChildProcess
from .zeroing_buffer import ZeroingBuffer


def relay_session(
    child: ChildProcess, calls_fd: int, pending_calls: ZeroingBuffer, *, requests_fd: int, replies_fd: int
) -> str | None:
    """Relay lines between the host and a candidate until either ends the session or a limit is exceeded.

    After the frame that started the session the host sends frames `{"call": true}`, whose body is one line for the
    candidate, and finally `{"end": true}`. It receives frames `{"id": ..., "lines": true}` of complete lines.

    Args:
        child: the candidate.
        calls_fd: write end of the candidate's pipe for calls; never blocked on.
        pending_calls: an empty buffer for calls that the candidate has not read yet.
        requests_fd: frames from the host; the candidate's process reads its program there first.
        replies_fd: frames to the host, which must keep reading.

    Returns:
        The limit that the candidate exceeded, or None.
    """
    os.set_blocking(calls_fd, False)
    reads_requests = False
    poller = select.poll()
    for fd in (child.results_fd, child.pidfd):
        poller.register(fd, select.POLLIN)
    next_check = time.monotonic() + TICK_S
    while True:
        ready = {fd for fd, _ in poller.poll(max(0.0, next_check - time.monotonic()) * 1000)}
        if child.results_fd in ready:
            if not child.read_results():
                poller.unregister(child.results_fd)
            _forward_lines(child, replies_fd)
            if child.has_started and not reads_requests:
                reads_requests = True
                poller.register(requests_fd, select.POLLIN)
        if child.pidfd in ready:
            return None
        if requests_fd in ready:
            frame = read_header(requests_fd)
            if frame is None or "end" in frame[0] or not pending_calls.read_exactly_from(requests_fd, frame[1]):
                return None
            poller.register(calls_fd, select.POLLOUT)
        if calls_fd in ready and not _write_calls(calls_fd, pending_calls):
            poller.unregister(calls_fd)
        if time.monotonic() >= next_check:
            limit = child.exceeded_limit()
            if limit is not None:
                return limit
            next_check = time.monotonic() + TICK_S


def _forward_lines(child: ChildProcess, replies_fd: int) -> None:
    size = child.results.size_of_complete_lines()
    if size > 0:
        with child.results.peek(size) as lines:
            write_frame(replies_fd, {"id": child.id, "lines": True}, lines)
        child.results.discard(size)


def _write_calls(calls_fd: int, pending_calls: ZeroingBuffer) -> bool:
    """Write what the pipe accepts; return whether there is more. A candidate that closed its end gets no more."""
    try:
        while pending_calls:
            with pending_calls.peek(len(pending_calls)) as data:
                count = os.write(calls_fd, data)
            pending_calls.discard(count)
    except BlockingIOError:
        return True
    except OSError:
        pending_calls.clear()
    return False
