"""One running candidate as seen by the worker: its output, its resource usage, its limits and its end.

The first byte on a candidate's results pipe comes from our own code: `STARTED` right before the program's source runs,
or `FAULT` followed by the reason why it will not run. A program can therefore not report a fault, and a program that
never started is not blamed. All other bytes are opaque here. Cleaning up after a candidate is the worker's task.
"""

import os
import select
import signal
import time
from typing import Any

from .accounting import CpuTime, OomCounter, ProcFiles
from .framing import read_header, write_frame
from .zeroing_buffer import ZeroingBuffer

TICK_S = 0.02
"""Interval at which the limits are checked."""
STARTED, FAULT = b"b", b"f"
_PIPE_BYTES = 256 << 10


class ChildProcess:
    """The first process of a candidate, until `finish`."""

    def __init__(self, pid: int, results_fd: int, limits: dict[str, Any], files: ProcFiles, results: ZeroingBuffer):
        """Observe a process.

        Args:
            pid: a child of this process, not reaped yet.
            results_fd: read end of its results pipe.
            limits: header of the request: `id` and limits.
            files: sources of its resource usage.
            results: receives its output after the first byte.
        """
        self.id = limits["id"]
        self.pidfd = os.pidfd_open(pid)
        self.results_fd = results_fd
        self.results = results
        self._pid = pid
        self._limits = limits
        self._files = files
        self._first_byte = b""
        self._cpu: CpuTime | None = None
        self._cpu_s = 0.0
        self._start = time.monotonic()
        self._room_bytes = limits["output_bytes"] + 1
        os.set_blocking(results_fd, False)

    @property
    def has_started(self) -> bool:
        """Whether the program's source runs or has run, as of the last `read_results`."""
        return self._first_byte == STARTED

    def wait(self) -> str | None:
        """Wait until the process ends; return the limit it exceeded, or None if it ended by itself.

        The pipe is read once per tick and not on every write: a candidate with hundreds of calls wakes the worker once.
        """
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        while not poller.poll(int(TICK_S * 1000)):
            self.read_results()
            limit = self.exceeded_limit()
            if limit is not None:
                return limit
        return None

    def read_results(self) -> bool:
        """Read what the pipe holds, at most one byte beyond the output limit; return False at its end."""
        while self._room_bytes > 0:
            try:
                self._first_byte = self._first_byte or os.read(self.results_fd, 1)
                count = self.results.read_from(self.results_fd, min(self._room_bytes, _PIPE_BYTES))
            except BlockingIOError:
                return True
            if count == 0:
                return False
            self._room_bytes -= count
        return True

    def exceeded_limit(self) -> str | None:
        """Return the first limit that is exceeded, or None. Time counts from the start of the program's source."""
        if not self.has_started:
            self._start = time.monotonic()
            return None
        if self._room_bytes == 0:
            return "output_limit"
        if time.monotonic() - self._start > self._limits["wall_time_s"]:
            return "timeout"
        if self._cpu is None:
            self._cpu = CpuTime(self._files, self._pid)
        self._cpu_s = self._cpu.measure_s()
        return "timeout" if self._cpu_s > self._limits["cpu_time_s"] else None

    def finish(self, end: str | None, oom_kills: OomCounter) -> dict[str, Any]:
        """Kill and reap the process and read the rest of its output.

        Args:
            end: the limit that `wait` or `relay_session` returned.
            oom_kills: of the sandbox.

        Returns:
            Header of the reply: `id`, `end` (`timeout`, `output_limit`, `memory`, `fault` or None), `exit_code`
            (negative: a signal), `cpu_s`, `wall_s`, and for a fault `why`.
        """
        os.kill(self._pid, signal.SIGKILL)  # not reaped yet, so the PID is still its own
        _, status, usage = os.wait4(self._pid, 0)
        self.read_results()
        exit_code = os.waitstatus_to_exitcode(status)
        # Every candidate that ran long enough to fill the memory updates the counter, so that none is blamed for the
        # one before.
        was_oom = (self._cpu is not None or exit_code == -signal.SIGKILL) and oom_kills.increased()
        if end is None and self._room_bytes == 0:
            end = "output_limit"
        elif end is None and was_oom and exit_code == -signal.SIGKILL:
            end = "memory"
        os.close(self.pidfd)
        os.close(self.results_fd)
        reply = {
            "id": self.id,
            "end": end,
            "exit_code": exit_code,
            "cpu_s": max(self._cpu_s, usage.ru_utime + usage.ru_stime),
            "wall_s": time.monotonic() - self._start,
        }
        return reply if self.has_started else {**reply, "end": "fault", "why": self._take_fault(exit_code)}

    def _take_fault(self, exit_code: int) -> str:
        with self.results.peek(len(self.results)) as message:
            reason = bytes(message).decode("utf-8", "replace")
        self.results.clear()
        return reason or f"the candidate's process ended with exit code {exit_code} before the program started"


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
