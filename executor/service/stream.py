"""From the executor's threads to a response: lines pile up, the event loop is woken once for many, and takes all."""

import asyncio
import contextlib
from collections import deque

HEARTBEAT_S = 5.0
"""An empty line after so long without a verdict, so that the client knows that there is life."""


class LineStream:
    """Lines put in by any thread and read by one coroutine."""

    def __init__(self, num_expected: int):
        self._lines: deque[bytes] = deque()
        self._loop = asyncio.get_running_loop()
        self._is_woken = False
        self._changed = asyncio.Event()
        self._num_left = num_expected
        self._is_broken_off = False

    @property
    def is_whole(self) -> bool:
        """Whether all expected lines were taken."""
        return self._num_left == 0

    def put(self, line: bytes) -> None:
        """Add a line; from any thread."""
        self._lines.append(line)
        self._wake()

    def break_off(self) -> None:
        """Expect no more lines; from any thread."""
        self._is_broken_off = True
        self._wake()

    def _wake(self) -> None:
        if not self._is_woken:
            self._is_woken = True
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody reads any more
                self._loop.call_soon_threadsafe(self._changed.set)

    async def take(self) -> bytes | None:
        """Wait for lines and take them all as one piece; None when all expected ones were taken, or none will come."""
        if self._num_left == 0:
            return None
        while not self._lines:
            if self._is_broken_off:
                return None
            try:
                await asyncio.wait_for(self._changed.wait(), HEARTBEAT_S)
            except TimeoutError:
                return b"\n"
            self._changed.clear()
            self._is_woken = False
        taken = []
        while self._lines:
            taken.append(self._lines.popleft())
        self._num_left -= len(taken)
        return b"".join(taken)
