"""One accepted request: starts its programs and streams their lines to the client as they finish.

Executor threads add lines; the event loop collects them and sends several in one piece, since each wake-up and each
write costs CPU time that the sandboxes need. Knows nothing about requests or limits.
"""

import asyncio
import contextlib
import threading
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Protocol

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from executor.service.metrics import ServiceMetrics, log_event
from executor.service.protocol import encode_execution, encode_outcome
from executor.types import Execution, Outcome

HEARTBEAT_S = 5.0
"""Time without a line after which an empty one is sent, so that the client knows that the service is alive."""
FLUSH_INTERVAL_S = 0.05
"""Time for which the lines of an unfinished batch are collected before they are sent."""
_MIN_THREADED_PROGRAMS = 9
"""Smaller batches are started without a thread."""
_MAX_ERROR_CHARS = 200


class LineStream:
    """Lines added by any thread and read by one coroutine.

    Args:
        num_lines: lines that the stream will have.
    """

    def __init__(self, num_lines: int):
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._num_missing = num_lines
        """Lines not yet added."""
        self._available = asyncio.Event()
        """There are lines, or all lines were added, or the stream was aborted."""
        self._ended = asyncio.Event()
        """All lines were added, or the stream was aborted."""
        if num_lines == 0:
            self._end()

    @property
    def is_complete(self) -> bool:
        """Whether all lines were added; `read` may still return some."""
        return self._num_missing == 0

    def put(self, line: bytes) -> None:
        """Add a line. Thread-safe."""
        with self._lock:
            self._lines.append(line)
            self._num_missing -= 1
            is_first, is_last = len(self._lines) == 1, self._num_missing == 0
        if is_last:
            self._call(self._end)
        elif is_first:
            self._call(self._available.set)

    def abort(self) -> None:
        """End the stream without the missing lines. Thread-safe."""
        self._call(self._end)

    async def read(self) -> tuple[int, bytes] | None:
        """Wait for lines and return their number and bytes; (0, empty line) is a heartbeat, None the end."""
        while True:
            if not await _wait(self._available, HEARTBEAT_S):
                return 0, b"\n"
            await _wait(self._ended, FLUSH_INTERVAL_S)
            with self._lock:
                lines, self._lines = self._lines, []
            if lines:
                return len(lines), b"".join(lines)
            if self._ended.is_set():
                return None
            self._available.clear()

    def _end(self) -> None:
        self._available.set()
        self._ended.set()

    def _call(self, callback: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed, so nobody reads
            self._loop.call_soon_threadsafe(callback)


async def _wait(event: asyncio.Event, timeout_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
    return event.is_set()


class BatchOwner(Protocol):
    """The service, as its batches use it."""

    metrics: ServiceMetrics
    num_pending: int
    """Accepted programs without an outcome."""
    num_finished: int


class Batch:
    """The programs of one request, from acceptance to the end of the response."""

    def __init__(self, service: BatchOwner, number: int, num_programs: int):
        self._service = service
        self._number = number
        self._num_programs = num_programs
        self._num_left = num_programs
        self._statuses: Counter[str] = Counter()
        self._started_at = time.monotonic()
        self._stream = LineStream(num_programs)
        service.num_pending += num_programs
        log_event("batch accepted", batch=number, num_programs=num_programs)

    def on_outcome(self, index: int, outcome: Outcome) -> None:
        """Add the line of a graded sample. Thread-safe; raises what encoding raises."""
        self.count(outcome)
        self._stream.put(encode_outcome(index, outcome))

    def on_execution(self, index: int, future: Future[Execution]) -> None:
        """Add the line of a program that was run, unless the batch was left. Thread-safe."""
        if future.cancelled():
            return
        execution = future.result()
        self.count(execution)
        try:
            self._stream.put(encode_execution(index, execution))
        except Exception as error:
            self.on_error(error)

    def on_error(self, error: Exception) -> None:
        """End the response without its last line. The client sends samples without a line again."""
        [*_, (frame, line)] = traceback.walk_tb(error.__traceback__)
        log_event(
            "batch failed",
            batch=self._number,
            error=f"{type(error).__name__}: {str(error)[:_MAX_ERROR_CHARS]}",
            place=f"{frame.f_code.co_filename}:{line}",
        )
        self._stream.abort()

    async def stream(
        self, work: AbstractContextManager, start: Callable[[], None], last_line: Callable[[], bytes]
    ) -> AsyncIterator[bytes]:
        """Start the programs and yield their lines.

        Args:
            work: exited at the end; it drops programs that have not begun.
            start: adds the programs to `work`; large batches call it in a thread.
            last_line: encodes the line that ends a complete response.
        """
        with work:
            if self._num_programs < _MIN_THREADED_PROGRAMS:
                start()
            else:
                await asyncio.to_thread(start)
            while (piece := await self._stream.read()) is not None:
                num_lines, lines = piece
                self.release(num_lines)
                yield lines
            if self._stream.is_complete:
                yield last_line()

    def on_disconnect(self) -> None:
        """Release the batch's share of the queue, whether the response is complete or not."""
        self._service.num_pending -= self._num_left
        log_event(
            "batch finished" if self._num_left == 0 else "batch ended early",
            batch=self._number,
            num_finished=self._num_programs - self._num_left,
            seconds=round(time.monotonic() - self._started_at, 3),
            statuses=dict(self._statuses),
        )

    def release(self, num_programs: int) -> None:
        """Release the places in the queue of programs that have been answered."""
        self._num_left -= num_programs
        self._service.num_pending -= num_programs

    def count(self, result: Outcome | Execution) -> None:
        """Add a finished program to the metrics. Thread-safe."""
        status = result.status if isinstance(result, Outcome) else result.failure or "ok"
        self._statuses[status] += 1
        self._service.num_finished += 1
        metrics = self._service.metrics
        metrics.outcomes.labels(status).inc()
        metrics.run_seconds.observe(result.duration_s)
        metrics.queue_seconds.observe(result.queued_s)


class BatchResponse(StreamingResponse):
    """The lines of a batch; closes the batch when the response ends."""

    media_type = "application/x-ndjson"

    def __init__(self, batch: Batch, lines: AsyncIterator[bytes]):
        super().__init__(lines)
        self._batch = batch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._batch.on_disconnect()
