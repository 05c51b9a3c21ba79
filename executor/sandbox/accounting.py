"""What all processes of a candidate have used together: CPU time, and whether the kernel ran out of memory for them.

Standard library only: runs inside the sandbox, in the worker. CPU time comes from the sandbox's cgroup; without one
from a procfs of its process namespace; without either it is that of the candidate's first process. It sets no limits.
"""

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_CPU_FILES = ("/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpuacct/cpuacct.usage")
_MEMORY_FILES = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessTimes:
    """One process, in clock ticks: when it began, what it used, and what the children it waited for had used."""

    began: int
    own: int
    waited: int


@dataclass(frozen=True, slots=True)
class Sources:
    """Descriptors kept open by the worker, None where there is no such source; candidates' copies are closed."""

    processes_fd: int | None = None
    cpu_fd: int | None = None
    memory_fd: int | None = None


def open_sources(box: dict[str, Any]) -> Sources:
    """Open what the box names: `cgroup` (true where /sys/fs/cgroup is the sandbox's own) and `proc`.

    Raises:
        OSError: the box names a procfs that cannot be opened.
    """
    proc = box.get("proc")
    cgroup = bool(box.get("cgroup"))
    return Sources(
        processes_fd=None if proc is None else os.open(proc, os.O_RDONLY | os.O_DIRECTORY),
        cpu_fd=_open_first(_CPU_FILES) if cgroup else None,
        memory_fd=_open_first(_MEMORY_FILES) if cgroup else None,
    )


def parse_process(stat: bytes) -> ProcessTimes:
    """Read a /proc/PID/stat; the name in it is the candidate's choice and may hold brackets, spaces and line breaks."""
    fields = stat[stat.rindex(b")") + 2 :].split()
    own, waited = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return ProcessTimes(began=int(fields[19]), own=own, waited=waited)


def parse_cpu_s(text: bytes) -> float:
    """Read cpuacct.usage (version 1: nanoseconds) or cpu.stat (version 2: `usage_usec` among other lines)."""
    words = text.split()
    return int(words[0]) / 1e9 if len(words) == 1 else int(words[words.index(b"usage_usec") + 1]) / 1e6


def parse_oom_kills(text: bytes) -> int:
    """Read memory.oom_control (version 1) or memory.events (version 2); kernels before 4.13 do not count: 0."""
    words = text.split()
    return int(words[words.index(b"oom_kill") + 1]) if b"oom_kill" in words else 0


class CpuTime:
    """CPU time of one candidate. Made at the first look, so that a candidate done before it costs nothing."""

    def __init__(self, sources: Sources, pid: int):
        self._sources = sources
        self._leader_clock = (~pid << 3) | 2  # the kernel's name for the CPU clock of a process
        self._seen: dict[int, ProcessTimes] = {}
        self._vanished = 0
        self._largest_s = 0.0
        # What the cgroup had used before: all but what the candidate, till now mostly its first process, has used.
        self._before_s = 0.0 if sources.cpu_fd is None else self._cgroup_s(sources.cpu_fd) - self._leader_s()

    def seconds(self) -> float:
        """Measure; never less than measured before. The leader must not have been waited for."""
        now_s = self._leader_s()
        if self._sources.cpu_fd is not None:
            now_s = max(now_s, self._cgroup_s(self._sources.cpu_fd) - self._before_s)
        elif self._sources.processes_fd is not None:
            now_s = max(now_s, self.take(read_processes(self._sources.processes_fd)) / _TICKS_PER_S)
        self._largest_s = max(self._largest_s, now_s)
        return self._largest_s

    def take(self, processes: dict[int, ProcessTimes]) -> int:
        """Sum up a look at all processes, in ticks, never more than was used.

        Those gone since are in the sums of parents that waited for them, and in what was last seen of them; some are
        missing in the one, some in the other.
        """
        for pid, times in self._seen.items():
            if pid not in processes or processes[pid].began != times.began:
                self._vanished += times.own
        self._seen = processes
        waited = sum(times.waited for times in processes.values())
        return sum(times.own for times in processes.values()) + max(waited, self._vanished)

    def _leader_s(self) -> float:
        return time.clock_gettime(self._leader_clock)

    @staticmethod
    def _cgroup_s(fd: int) -> float:
        """Measure the cgroup without this worker, the only other process in it."""
        return parse_cpu_s(os.pread(fd, 4096, 0)) - time.process_time()


class OutOfMemory:
    """The count of processes the kernel ended because the cgroup's memory was full."""

    def __init__(self, sources: Sources):
        self._fd = sources.memory_fd
        self._num_known = self._num_kills()

    def happened(self) -> bool:
        """Whether it ended one since the last call."""
        before, self._num_known = self._num_known, self._num_kills()
        return self._num_known > before

    def _num_kills(self) -> int:
        return 0 if self._fd is None else parse_oom_kills(os.pread(self._fd, 4096, 0))


def read_processes(directory_fd: int) -> dict[int, ProcessTimes]:
    """Read the times of every process of a procfs but this one, those that ended and were not waited for included."""
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir(directory_fd))):
        if pid == os.getpid():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it was waited for just now
            fd = os.open(f"{pid}/stat", os.O_RDONLY, dir_fd=directory_fd)
            try:
                found[pid] = parse_process(os.read(fd, 4096))
            finally:
                os.close(fd)
    return found


def _open_first(paths: Iterable[str]) -> int | None:
    for path in paths:
        with contextlib.suppress(OSError):
            return os.open(path, os.O_RDONLY)
    return None
