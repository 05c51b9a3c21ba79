"""A limit on the GPU memory of each sandboxed program, enforced from outside the sandbox.

The driver reports how much memory each process holds. Processes below a sandbox that exceed the limit are killed; all
others, such as a trainer, are left alone. Between two polls a program can hold more.
"""

import contextlib
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping

import psutil

from executor.backends.base import Backend, Sandbox

MEMORY_VARIABLE = "ATOMFORGE_SANDBOX_GPU_MIB"
DEFAULT_MIB = 4096
POLL_S = 0.05
_QUERY = ("nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")
_QUERY_TIMEOUT_S = 10.0
_MAX_FAILURES = 20
_log = logging.getLogger(__name__)


class GpuLimitedBackend:
    """Starts the sandboxes of another backend and limits their GPU memory.

    Raises:
        ValueError: the driver does not answer, or ATOMFORGE_SANDBOX_GPU_MIB is not a number.
    """

    def __init__(self, backend: Backend):
        mib = os.environ.get(MEMORY_VARIABLE, str(DEFAULT_MIB))
        if not mib.isdigit() or int(mib) < 1:
            raise ValueError(f"{MEMORY_VARIABLE} must be a number of MiB of at least 1, not {mib!r:.40}")
        self.name = backend.name
        self.description = f"{backend.description}; at most {mib} MiB of GPU memory per program"
        self._backend = backend
        try:
            self._limiter = GpuMemoryLimiter(limit_bytes=int(mib) << 20)
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


def query_memory() -> dict[int, int]:
    """Ask the driver how many bytes of GPU memory each process holds, by PID.

    Raises:
        OSError: nvidia-smi fails or its output has another format.
    """
    try:
        output = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_QUERY_TIMEOUT_S, check=True).stdout
    except (subprocess.SubprocessError, FileNotFoundError) as error:
        raise OSError(f"nvidia-smi does not answer: {error}") from None
    return parse_memory(output)


def parse_memory(text: str) -> dict[int, int]:
    """Parse lines of `PID, MiB` and add up the memory of a process on several GPUs; return bytes by PID.

    Raises:
        OSError: a line has another format.
    """
    memory: dict[int, int] = {}
    for line in text.splitlines():
        pid, _, mib = line.partition(",")
        if not pid.strip().isdigit() or not mib.strip().isdigit():
            raise OSError(f"nvidia-smi printed {line!r:.60} instead of a PID and its memory in MiB")
        memory[int(pid)] = memory.get(int(pid), 0) + (int(mib) << 20)
    return memory


class GpuMemoryLimiter:
    """Polls the GPU memory of all processes in a thread, and kills sandboxed ones that exceed the limit."""

    def __init__(
        self, *, limit_bytes: int, query: Callable[[], Mapping[int, int]] = query_memory, poll_s: float = POLL_S
    ):
        """Query once, then start the thread.

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
                over_limit = {pid for pid, used in self._query().items() if used > self._limit_bytes}
                self._num_failures = 0
            except OSError as error:
                self._on_failure(error)
                continue
            if over_limit:
                self.num_killed += _kill(over_limit & self._sandboxed_pids())

    def _on_failure(self, error: OSError) -> None:
        """After many failures in a row, kill the sandboxes: their memory is no longer limited."""
        self._num_failures += 1
        if self._num_failures >= _MAX_FAILURES:
            _log.warning("GPU memory cannot be measured, killing the sandboxes: %s", error)
            self._num_failures = 0
            _kill(self._sandboxed_pids())

    def _sandboxed_pids(self) -> set[int]:
        with self._lock:
            self._sandboxes = [process for process in self._sandboxes if process.is_running()]
            found = {process.pid for process in self._sandboxes}
            for process in self._sandboxes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    found |= {child.pid for child in process.children(recursive=True)}
            return found


def _kill(pids: set[int]) -> int:
    """Kill processes; return how many still existed."""
    num_killed = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            num_killed += 1
    return num_killed
