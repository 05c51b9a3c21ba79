"""A session: calls of the host go to a running candidate one by one, and its lines go back, until someone ends it.

Standard library only: runs inside the sandbox, in the worker. After the frame that started it the host sends frames
`{"call": true}` with a line for the candidate, and one `{"end": true}`; it gets frames `{"id": ..., "lines": true}`
with whole lines, and at last the usual reply, whose body is what was not sent yet. The lines are opaque here.
"""

import os
import select
import time

from child import TICK_S, Child  # type: ignore[import-not-found]  # lies beside this file in the sandbox
from wire import read_frame, write_frame  # type: ignore[import-not-found]


def relay(child: Child, calls: int, *, requests: int, replies: int, session_id: int) -> str | None:
    """Carry lines to and fro; the limit the candidate ran into, None when it or the host ended the session.

    Args:
        child: the candidate.
        calls: where it reads; never waited for.
        requests: where the host speaks.
        replies: where the host reads; it must keep reading.
        session_id: the `id` of the session's frames.
    """
    os.set_blocking(calls, False)
    waiting = bytearray()
    poller = select.poll()
    for fd in (requests, child.reader, child.process):
        poller.register(fd, select.POLLIN)
    look_at = time.monotonic() + TICK_S
    while True:
        ready = {fd for fd, _ in poller.poll(max(0.0, look_at - time.monotonic()) * 1000)}
        if child.reader in ready:
            if not child.drain():
                poller.unregister(child.reader)
            _forward(child, replies, session_id)
        if child.process in ready:
            return None
        if requests in ready:
            frame = read_frame(requests)
            if frame is None or "end" in frame[0]:
                return None
            waiting += frame[1]
            poller.register(calls, select.POLLOUT)
        if calls in ready and not _write(calls, waiting):
            poller.unregister(calls)
        if time.monotonic() >= look_at:
            limit = child.limit_reached()
            if limit is not None:
                return limit
            look_at = time.monotonic() + TICK_S


def _forward(child: Child, replies: int, session_id: int) -> None:
    end = child.results.rfind(b"\n") + 1
    if end > 0:
        lines = bytes(child.results[:end])
        del child.results[:end]
        write_frame(replies, {"id": session_id, "lines": True}, lines)


def _write(calls: int, waiting: bytearray) -> bool:
    """Write what the pipe takes; whether there is more to write. Who closed its end gets no more."""
    try:
        while waiting:
            del waiting[: os.write(calls, waiting)]
    except BlockingIOError:
        return True
    except OSError:
        waiting.clear()
    return False
