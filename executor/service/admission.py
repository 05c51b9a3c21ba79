"""Who may come in: how many programs wait, how fast they go, and whether the service is draining.

Used by the event loop's thread alone. It refuses by raising; saying so over HTTP is the application's.
"""

import asyncio
import math
import time

MAX_RETRY_AFTER_S = 60
_WINDOW_S = 5.0


class Refused(Exception):
    """A request that is not served."""

    def __init__(self, http_status: int, reason: str, message: str, *, retry_after_s: int | None = None):
        """Give the status, a short name for the metrics, one line for the client, and when it may try again."""
        super().__init__(message)
        self.http_status = http_status
        self.reason = reason
        self.retry_after_s = retry_after_s


class Admission:
    """Counts what was accepted and is not yet answered."""

    def __init__(self, max_waiting: int):
        self._max_waiting = max_waiting
        self.num_waiting = 0
        self.num_batches = 0
        self.is_draining = False
        self.is_idle = asyncio.Event()
        self.is_idle.set()
        self._rate = 0.0
        self._window_began = time.monotonic()
        self._num_in_window = 0

    def check(self) -> None:
        """Say no before a body is read, where the answer is known already.

        Raises:
            Refused: the service drains, or is full.
        """
        if self.is_draining:
            raise Refused(503, "draining", "the service is shutting down", retry_after_s=1)
        if self.num_waiting >= self._max_waiting:
            raise self._full(1)

    def enter(self, num_programs: int) -> None:
        """Accept a batch; `answered` and `leave` follow.

        Raises:
            Refused: it can never be taken, or not now.
        """
        if num_programs > self._max_waiting:
            message = f"a batch of {num_programs} programs; at most {self._max_waiting} are taken"
            raise Refused(413, "batch_too_large", message)
        self.check()
        if self.num_waiting + num_programs > self._max_waiting:
            raise self._full(num_programs)
        self.num_waiting += num_programs
        self.num_batches += 1
        self.is_idle.clear()

    def answered(self, num_programs: int) -> None:
        """Note that programs of a batch have their verdicts."""
        self.num_waiting -= num_programs
        self._num_in_window += num_programs
        elapsed_s = time.monotonic() - self._window_began
        if elapsed_s >= _WINDOW_S:
            self._rate = self._num_in_window / elapsed_s
            self._window_began, self._num_in_window = time.monotonic(), 0

    def leave(self, num_unanswered: int) -> None:
        """Note the end of a batch, with programs that will never be answered."""
        self.num_waiting -= num_unanswered
        self.num_batches -= 1
        if self.num_batches == 0:
            self.is_idle.set()

    def retry_after_s(self, num_programs: int) -> int:
        """Estimate in how many seconds there is room for a batch."""
        num_too_many = self.num_waiting + num_programs - self._max_waiting
        elapsed_s = max(time.monotonic() - self._window_began, 0.1)
        rate = self._rate or self._num_in_window / elapsed_s
        if rate <= 0:
            return 1
        return min(max(math.ceil(num_too_many / rate), 1), MAX_RETRY_AFTER_S)

    def _full(self, num_programs: int) -> Refused:
        return Refused(
            429,
            "full",
            f"{self.num_waiting} programs wait, and at most {self._max_waiting} may",
            retry_after_s=self.retry_after_s(num_programs),
        )
