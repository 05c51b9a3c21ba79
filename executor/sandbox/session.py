"""A session: calls of the host go to a running candidate one by one, and its lines go back, until someone ends it.

Standard library only: runs inside the sandbox, in the worker. After the frame that started it the host sends frames
`{"call": true}` with a line for the candidate, and one `{"end": true}`; it gets frames `{"id": ..., "lines": true}`
with whole lines, and at last the usual reply, whose body is what was not sent yet. The lines are opaque here.
"""

import os
import select
import time

from .framing import read_header, write_frame
from .process import TICK_S, Child
from .zeroing_buffer import Passage


def relay(child: Child, calls: int, waiting: Passage, *, requests: int, replies: int) -> str | None:
    """Carry lines to and fro; the limit the candidate ran into, None when it or the host ended the session.

    Args:
        child: the candidate.
        calls: where it reads; never waited for.
        waiting: takes the calls that it has not read yet; empty.
        requests: where the host speaks: first what the candidate's own process reads, then words for us.
        replies: where the host reads; it must keep reading.
    """
    os.set_blocking(calls, False)
    hears = False
    poller = select.poll()
    for fd in (child.reader, child.process):
        poller.register(fd, select.POLLIN)
    look_at = time.monotonic() + TICK_S
    while True:
        ready = {fd for fd, _ in poller.poll(max(0.0, look_at - time.monotonic()) * 1000)}
        if child.reader in ready:
            if not child.drain():
                poller.unregister(child.reader)
            _forward(child, replies)
            if child.has_begun and not hears:
                hears = True
                poller.register(requests, select.POLLIN)
        if child.process in ready:
            return None
        if requests in ready:
            frame = read_header(requests)
            if frame is None or "end" in frame[0] or not waiting.fill(requests, frame[1]):
                return None
            poller.register(calls, select.POLLOUT)
        if calls in ready and not _write(calls, waiting):
            poller.unregister(calls)
        if time.monotonic() >= look_at:
            limit = child.limit_reached()
            if limit is not None:
                return limit
            look_at = time.monotonic() + TICK_S


def _forward(child: Child, replies: int) -> None:
    size = child.results.end_of_lines()
    if size > 0:
        with child.results.first(size) as lines:
            write_frame(replies, {"id": child.id, "lines": True}, lines)
        child.results.drop(size)


def _write(calls: int, waiting: Passage) -> bool:
    """Write what the pipe takes; whether there is more to write. Who closed its end gets no more."""
    try:
        while waiting:
            with waiting.first(len(waiting)) as words:
                count = os.write(calls, words)
            waiting.drop(count)
    except BlockingIOError:
        return True
    except OSError:
        waiting.clear()
    return False
