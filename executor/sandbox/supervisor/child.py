"""One running candidate as seen by the worker: its output, its resource usage, its limits and its end.

The first byte on a candidate's results pipe comes from our own code: `STARTED` right before the program's source runs;
otherwise `FAULT`, or `TASK_FAULT` if what the task puts before the program failed, followed by the reason why it will
not run. A program can therefore not report a fault, and a program that never started is not blamed. All other bytes
are opaque here. Cleaning up after a candidate is the part of `reset`.
"""

import os
import select
import signal
import time
from typing import Any

from ..candidate.exceptions import BUILTIN_NAMES
from ..framing import STARTED, TASK_FAULT
from .accounting import OomCounter, ProcFiles, Usage
from .reset import kill_candidate
from .zeroing_buffer import ZeroingBuffer

TICK_S = 0.02
"""Interval at which the limits are checked."""
_SHORT_TICK_S = 0.004
"""The same for a candidate that has used over half of its memory."""
_PIPE_BYTES = 256 << 10
_LARGE_OUTPUT_BYTES = 32 << 10
"""Output beyond which the pipe is read whenever there is something in it, as it may fill up within a tick."""


class ChildProcess:
    """The first process of a candidate, until `finish`."""

    def __init__(
        self,
        pid: int,
        results_fd: int,
        limits: dict[str, Any],
        spec: dict[str, Any],
        files: ProcFiles,
        results: ZeroingBuffer,
        *,
        input_bytes: int = 0,
    ):
        """Observe a process.

        Args:
            pid: a child of this process, not reaped yet.
            results_fd: read end of its results pipe.
            limits: header of the request: `id` and limits.
            spec: the sandbox spec.
            files: sources of its resource usage.
            results: receives its output after the first byte.
            input_bytes: size of the file of its standard input, which a cgroup counts as memory.
        """
        self.id = limits["id"]
        self.pidfd = os.pidfd_open(pid)
        self.results_fd = results_fd
        self.results = results
        self.tick_s = TICK_S
        self._pid = pid
        self._limits = limits
        self._spec = spec
        self._files = files
        self._first_byte = b""
        self._usage: Usage | None = None
        self._max_memory_bytes = limits["memory_bytes"] + spec.get("resident_bytes", 0) + input_bytes
        self._cpu_s = 0.0
        self._start = time.monotonic()
        self._room_bytes = limits["output_bytes"] + 1
        os.set_blocking(results_fd, False)

    @property
    def has_started(self) -> bool:
        """Whether the program's source runs or has run, as of the last `read_results`."""
        return self._first_byte == STARTED

    @property
    def has_read_request(self) -> bool:
        """Whether nothing of the request is left in the stream, as of the last `read_results`."""
        return self._first_byte in (STARTED, TASK_FAULT)

    def wait(self) -> str | None:
        """Wait until the process ends; return the limit it exceeded, or None if it ended by itself.

        The pipe is read once per tick and not on every write, until there is much output: a candidate with hundreds of
        calls wakes the worker once.
        """
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        watches_results = False
        next_check = time.monotonic() + self.tick_s
        while True:
            ready = {fd for fd, _ in poller.poll(max(0.0, next_check - time.monotonic()) * 1000)}
            if self.pidfd in ready:
                return None
            is_open = self.read_results()
            if watches_results and not is_open:
                poller.unregister(self.results_fd)
                watches_results = False
            elif is_open and not watches_results and len(self.results) > _LARGE_OUTPUT_BYTES:
                poller.register(self.results_fd, select.POLLIN)
                watches_results = True
            if self._room_bytes == 0 or time.monotonic() >= next_check:
                limit = self.exceeded_limit()
                if limit is not None:
                    return limit
                next_check = time.monotonic() + self.tick_s

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
        if self._usage is None:
            self._usage = Usage(self._files, self._pid)
        self._cpu_s, memory_bytes = self._usage.measure()
        self.tick_s = TICK_S if 2 * memory_bytes < self._max_memory_bytes else _SHORT_TICK_S
        if memory_bytes > self._max_memory_bytes:
            return "memory"
        return "timeout" if self._cpu_s > self._limits["cpu_time_s"] else None

    def finish(self, end: str | None, oom_kills: OomCounter) -> dict[str, Any]:
        """Kill all processes of the candidate, reap the first one and read the rest of its output.

        Args:
            end: the limit that `wait` or `relay_session` returned.
            oom_kills: of the sandbox.

        Returns:
            Header of the reply: `id`, `end` (`timeout`, `output_limit`, `memory`, `fault` or None), `exit_code`
            (negative: a signal), `cpu_s`, `wall_s`, and for a fault `why`.
        """
        os.kill(self._pid, signal.SIGKILL)  # not reaped yet, so the PID is still its own
        kill_candidate(self._pid, self._spec)
        _, status, usage = os.wait4(self._pid, 0)
        self.read_results()
        exit_code = os.waitstatus_to_exitcode(status)
        # Every candidate that ran long enough to fill the memory updates the counter, so that none is blamed for the
        # one before.
        was_oom = (self._usage is not None or exit_code == -signal.SIGKILL) and oom_kills.increased()
        if end is None and self._room_bytes == 0:
            end = "output_limit"
        elif end is None and ((was_oom and exit_code == -signal.SIGKILL) or self._had_too_much(usage.ru_maxrss << 10)):
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

    def _had_too_much(self, max_resident_bytes: int) -> bool:
        """Whether one process exceeded the limit between two checks, given the largest resident set."""
        return self._spec["measures_memory"] and max_resident_bytes > self._max_memory_bytes

    def _take_fault(self, exit_code: int) -> str:
        with self.results.peek(len(self.results)) as message:
            reason = bytes(message).decode("utf-8", "replace")
        self.results.clear()
        return reason or f"the candidate's process ended with exit code {exit_code} before the program started"


def read_uncaught_exception(fd: int) -> str | None:
    """Read the number of a builtin exception from the pipe of a stdin program, once it has ended; close it.

    The program may have written it. As a number it leaves nothing of the program in this process.

    Returns:
        The name of the exception, or None if the pipe holds none.
    """
    os.set_blocking(fd, False)
    try:
        number = os.read(fd, 1)
    except BlockingIOError:
        number = b""
    os.close(fd)
    return BUILTIN_NAMES[number[0]] if number and number[0] < len(BUILTIN_NAMES) else None
