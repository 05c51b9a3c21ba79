"""A running candidate as the worker sees it: its process, the bytes it wrote, what it used, and when it must end.

Standard library only: runs inside the sandbox. The first byte comes from us: `BEGUN` just before the program's source
runs, or `FAULT` and why it never will. So no program can state a fault, and one that never began is not blamed. The
other bytes are opaque here. It does not clean up after the candidate.
"""

import os
import select
import signal
import time
from typing import Any

from .accounting import CpuTime, OutOfMemory, Sources
from .zeroing_buffer import Passage

TICK_S = 0.02
BEGUN, FAULT = b"b", b"f"
_PIPE_BYTES = 256 << 10


class Child:
    """The first process of a candidate; `close` ends it."""

    def __init__(self, pid: int, reader: int, limits: dict[str, Any], sources: Sources, results: Passage):
        """Watch a process.

        Args:
            pid: a child of ours, not reaped.
            reader: where it writes.
            limits: its limits and its `id`.
            sources: where its usage can be read.
            results: takes what it writes behind the first byte.
        """
        self.id = limits["id"]
        self.process = os.pidfd_open(pid)
        self.reader = reader
        self.results = results
        self._pid = pid
        self._limits = limits
        self._sources = sources
        self._first = b""
        self._cpu: CpuTime | None = None
        self._cpu_s = 0.0
        self._started = time.monotonic()
        self._room = limits["output_bytes"] + 1
        os.set_blocking(reader, False)

    @property
    def has_begun(self) -> bool:
        """Whether the program's source runs, or ran; as of the last `drain`."""
        return self._first == BEGUN

    def wait(self) -> str | None:
        """Wait for the process to end; None when it did by itself, else the limit it ran into.

        The pipe is looked at once a tick, not at every write: a candidate with hundreds of calls wakes us once.
        """
        poller = select.poll()
        poller.register(self.process, select.POLLIN)
        while not poller.poll(int(TICK_S * 1000)):
            self.drain()
            limit = self.limit_reached()
            if limit is not None:
                return limit
        return None

    def drain(self) -> bool:
        """Read what lies in the pipe, at most one byte over the cap; False when it has ended."""
        while self._room > 0:
            try:
                self._first = self._first or os.read(self.reader, 1)
                count = self.results.read(self.reader, min(self._room, _PIPE_BYTES))
            except BlockingIOError:
                return True
            if count == 0:
                return False
            self._room -= count
        return True

    def limit_reached(self) -> str | None:
        """Look at all limits; None while all hold. The clock stands still while the host still sends the program."""
        if not self.has_begun:
            self._started = time.monotonic()
            return None
        if self._room == 0:
            return "output_limit"
        if time.monotonic() - self._started > self._limits["wall_time_s"]:
            return "timeout"
        if self._cpu is None:
            self._cpu = CpuTime(self._sources, self._pid)
        self._cpu_s = self._cpu.seconds()
        return "timeout" if self._cpu_s > self._limits["cpu_time_s"] else None

    def close(self, end: str | None, out_of_memory: OutOfMemory) -> dict[str, Any]:
        """End the process, read the rest of what it wrote, and say how it ended."""
        os.kill(self._pid, signal.SIGKILL)  # not reaped yet, so the id is still its own
        _, status, usage = os.wait4(self._pid, 0)
        self.drain()
        exit_code = os.waitstatus_to_exitcode(status)
        # The count is looked at for every candidate that lived long enough to fill a memory, so that none is blamed
        # for the one before.
        killed = (self._cpu is not None or exit_code == -signal.SIGKILL) and out_of_memory.happened()
        if end is None and self._room == 0:
            end = "output_limit"
        elif end is None and killed and exit_code == -signal.SIGKILL:
            end = "memory"
        os.close(self.process)
        os.close(self.reader)
        reply = {
            "id": self.id,
            "end": end,
            "exit_code": exit_code,
            "cpu_s": max(self._cpu_s, usage.ru_utime + usage.ru_stime),
            "wall_s": time.monotonic() - self._started,
        }
        return reply if self.has_begun else {**reply, "end": "fault", "why": self._why(exit_code)}

    def _why(self, exit_code: int) -> str:
        """Take what it said of its fault."""
        with self.results.first(len(self.results)) as words:
            said = bytes(words).decode("utf-8", "replace")
        self.results.clear()
        return said or f"it ended with exit code {exit_code}"
