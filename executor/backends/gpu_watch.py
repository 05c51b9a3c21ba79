"""Watches the GPU memory of sandboxed programs and kills the one that takes more than its share.

A limit that a program cannot lift: the driver is asked from outside which process holds how much, and processes that
descend from our sandboxes are killed over the limit; all others, a trainer among them, are let be. Between two looks a
program can hold more. It does not start sandboxes and gives no verdicts.
"""

import contextlib
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping

import psutil

POLL_S = 0.05
_QUERY = ("nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")
_QUERY_TIMEOUT_S = 10.0
_MAX_FAILURES = 20
_log = logging.getLogger(__name__)


def memory_by_process() -> dict[int, int]:
    """Ask the driver for the bytes that each process holds on any GPU.

    Raises:
        OSError: it does not answer, or says something else.
    """
    try:
        said = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_QUERY_TIMEOUT_S, check=True).stdout
    except (subprocess.SubprocessError, FileNotFoundError) as error:
        raise OSError(f"nvidia-smi does not answer: {error}") from None
    return parse_memory(said)


def parse_memory(text: str) -> dict[int, int]:
    """Read lines of `pid, MiB`; a process on several GPUs counts with the sum.

    Raises:
        OSError: a line is something else.
    """
    found: dict[int, int] = {}
    for line in text.splitlines():
        pid, _, mib = line.partition(",")
        if not pid.strip().isdigit() or not mib.strip().isdigit():
            raise OSError(f"nvidia-smi says {line!r:.60}, not a process and its memory in MiB")
        found[int(pid)] = found.get(int(pid), 0) + (int(mib) << 20)
    return found


class GpuWatch:
    """Looks at the memory of all processes below the sandboxes, as long as it is open."""

    def __init__(
        self,
        *,
        limit_bytes: int,
        memory: Callable[[], Mapping[int, int]] = memory_by_process,
        poll_s: float = POLL_S,
    ):
        """Look once, then in a thread.

        Raises:
            OSError: the driver does not answer.
        """
        self.num_killed = 0
        self._limit_bytes = limit_bytes
        self._memory = memory
        self._poll_s = poll_s
        self._sandboxes: list[psutil.Process] = []
        self._lock = threading.Lock()
        self._is_closed = threading.Event()
        self._num_failures = 0
        memory()
        self._thread = threading.Thread(target=self._live, name="gpu-watch", daemon=True)
        self._thread.start()

    def add(self, pid: int) -> None:
        """Watch all that descends from a sandbox's first process, until that has ended."""
        with self._lock, contextlib.suppress(psutil.NoSuchProcess):
            self._sandboxes.append(psutil.Process(pid))

    def close(self) -> None:
        """Stop looking."""
        self._is_closed.set()
        self._thread.join()

    def _live(self) -> None:
        while not self._is_closed.wait(self._poll_s):
            try:
                greedy = {pid for pid, used in self._memory().items() if used > self._limit_bytes}
                self._num_failures = 0
            except OSError as error:
                self._take_failure(error)
                continue
            for pid in greedy & self._watched() if greedy else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.num_killed += 1

    def _take_failure(self, error: OSError) -> None:
        """Where the driver is away for long, end the sandboxes: nobody watches them any more."""
        self._num_failures += 1
        if self._num_failures < _MAX_FAILURES:
            return
        _log.warning("the GPU cannot be watched, its sandboxes are ended: %s", error)
        self._num_failures = 0
        for pid in self._watched():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _watched(self) -> set[int]:
        with self._lock:
            self._sandboxes = [process for process in self._sandboxes if process.is_running()]
            found = {process.pid for process in self._sandboxes}
            for process in self._sandboxes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    found |= {child.pid for child in process.children(recursive=True)}
            return found
