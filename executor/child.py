"""A running candidate as the worker sees it: its process, the bytes it wrote, what it used, and when it must end.

Standard library only: runs inside the sandbox. The bytes are opaque here. It does not clean up after the candidate.
"""

import os
import select
import signal
import time
from typing import Any

from usage import CpuTime, OutOfMemory, Sources  # type: ignore[import-not-found]  # lies beside this file in the sandbox

TICK_S = 0.02
_PIPE_BYTES = 256 << 10


class Child:
    """The first process of a candidate; `close` ends it."""

    def __init__(self, pid: int, reader: int, program: dict[str, Any], sources: Sources):
        self.process = os.pidfd_open(pid)
        self.reader = reader
        self.results = bytearray()
        self._pid = pid
        self._program = program
        self._sources = sources
        self._cpu: CpuTime | None = None
        self._cpu_s = 0.0
        self._started = time.monotonic()
        self._room = program["output_bytes"] + 1
        os.set_blocking(reader, False)

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
                chunk = os.read(self.reader, min(self._room, _PIPE_BYTES))
            except BlockingIOError:
                return True
            if not chunk:
                return False
            self.results += chunk
            self._room -= len(chunk)
        return True

    def limit_reached(self) -> str | None:
        """Look at all limits; None while all hold."""
        if self._room == 0:
            return "output_limit"
        if time.monotonic() - self._started > self._program["wall_time_s"]:
            return "timeout"
        if self._cpu is None:
            self._cpu = CpuTime(self._sources, self._pid)
        self._cpu_s = self._cpu.seconds()
        return "timeout" if self._cpu_s > self._program["cpu_time_s"] else None

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
        return {
            "id": self._program["id"],
            "end": end,
            "exit_code": exit_code,
            "cpu_s": max(self._cpu_s, usage.ru_utime + usage.ru_stime),
            "wall_s": time.monotonic() - self._started,
        }
