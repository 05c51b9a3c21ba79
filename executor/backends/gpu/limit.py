"""A limit on the GPU memory of each sandboxed program, enforced from outside the sandbox.

The driver reports how much memory each process holds. If the processes of a sandbox exceed the limit together, they are
killed; all others, such as a trainer, are left alone. Between two polls a program can hold more.
"""

import contextlib
import functools
import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping

import psutil

from executor.backends.base import Backend, Sandbox
from executor.backends.gpu.canary import check_pids
from executor.backends.gpu.nvml import Nvml
from executor.backends.profiles import GPU_VARIABLE

MEMORY_VARIABLE = "ATOMFORGE_SANDBOX_GPU_MIB"
DEFAULT_MIB = 4096
POLL_S = 0.05
_MAX_FAILURES = 20
_log = logging.getLogger(__name__)


class GpuLimitedBackend:
    """Starts the sandboxes of another backend and limits their memory on the GPU that ATOMFORGE_SANDBOX_GPU names.

    Raises:
        ValueError: the driver does not answer or does not report processes by their PIDs, or ATOMFORGE_SANDBOX_GPU_MIB
            is not a number.
    """

    def __init__(self, backend: Backend):
        mib = os.environ.get(MEMORY_VARIABLE, str(DEFAULT_MIB))
        if not mib.isdigit() or int(mib) < 1:
            raise ValueError(f"{MEMORY_VARIABLE} must be a number of MiB of at least 1, not {mib!r:.40}")
        self.name = backend.name
        self.description = f"{backend.description}; at most {mib} MiB of GPU memory per program"
        self._backend = backend
        gpu = os.environ[GPU_VARIABLE]  # checked by the profile
        try:
            nvml = Nvml()
            query = functools.partial(nvml.read_memory, gpu)
            check_pids(nvml.find(gpu).uuid, query)
            self._limiter = GpuMemoryLimiter(limit_bytes=int(mib) << 20, query=query)
        except OSError as error:
            raise ValueError(f"profile cuda: {error}") from None

    def with_profile(self, profile: str) -> Backend:
        return self._backend.with_profile(profile)

    def start(self) -> Sandbox:
        sandbox = self._backend.start()
        self._limiter.add(sandbox.root_pid)
        return sandbox

    def close(self) -> None:
        self._limiter.close()
        self._backend.close()


class GpuMemoryLimiter:
    """Polls the GPU memory of all processes in a thread, and kills sandboxed ones that exceed the limit."""

    def __init__(self, *, limit_bytes: int, query: Callable[[], Mapping[int, int]], poll_s: float = POLL_S):
        """Query once, then start the thread.

        Args:
            limit_bytes: of the processes of a sandbox together.
            query: returns the bytes of GPU memory of processes, by PID; raises OSError.
            poll_s: interval between two queries.

        Raises:
            OSError: the first query fails.
        """
        self.num_killed = 0
        self._limit_bytes = limit_bytes
        self._query = query
        self._poll_s = poll_s
        self._sandboxes: list[psutil.Process] = []
        self._lock = threading.Lock()
        self._is_closed = threading.Event()
        self._num_failures = 0
        query()
        self._thread = threading.Thread(target=self._run, name="gpu-memory-limiter", daemon=True)
        self._thread.start()

    def add(self, pid: int) -> None:
        """Limit a sandbox, given its first process, until that process ends."""
        with self._lock, contextlib.suppress(psutil.NoSuchProcess):
            self._sandboxes.append(psutil.Process(pid))

    def close(self) -> None:
        """Stop the thread."""
        self._is_closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_closed.wait(self._poll_s):
            try:
                used = self._query()
                self._num_failures = 0
            except OSError as error:
                self._on_failure(error)
                continue
            for pids in self._list_sandboxes() if used else ():
                holders = pids & used.keys()
                if sum(used[pid] for pid in holders) > self._limit_bytes:
                    self.num_killed += _kill(holders)

    def _on_failure(self, error: OSError) -> None:
        """After many failures in a row, kill the sandboxes: their memory is no longer limited."""
        self._num_failures += 1
        if self._num_failures >= _MAX_FAILURES:
            _log.warning("GPU memory cannot be measured, killing the sandboxes: %s", error)
            self._num_failures = 0
            _kill(set().union(*self._list_sandboxes()))

    def _list_sandboxes(self) -> list[set[int]]:
        """Return the PIDs of all processes of each sandbox."""
        with self._lock:
            self._sandboxes = [process for process in self._sandboxes if process.is_running()]
            found = []
            for process in self._sandboxes:
                pids = {process.pid}
                with contextlib.suppress(psutil.NoSuchProcess):
                    pids |= {child.pid for child in process.children(recursive=True)}
                found.append(pids)
            return found


def _kill(pids: set[int]) -> int:
    """Kill processes; return how many still existed."""
    num_killed = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            num_killed += 1
    return num_killed
