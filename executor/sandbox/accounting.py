"""Resource usage of all processes of a candidate together: CPU time, and kills by the kernel for lack of memory.

CPU time comes from the sandbox's cgroup; without one from a procfs of its PID namespace; without either it is the time
of the candidate's first process alone. This module measures; `process` enforces the limits.
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
class ProcFiles:
    """Descriptors that the worker keeps open; None where a source does not exist. Candidates' copies are closed."""

    proc_fd: int | None = None
    cpu_fd: int | None = None
    memory_fd: int | None = None


def open_proc_files(spec: dict[str, Any]) -> ProcFiles:
    """Open what the sandbox spec names: `proc` (a procfs) and `cgroup` (true: /sys/fs/cgroup is the sandbox's own).

    Raises:
        OSError: the procfs cannot be opened.
    """
    proc = spec.get("proc")
    cgroup = bool(spec.get("cgroup"))
    return ProcFiles(
        proc_fd=None if proc is None else os.open(proc, os.O_RDONLY | os.O_DIRECTORY),
        cpu_fd=_open_first(_CPU_FILES) if cgroup else None,
        memory_fd=_open_first(_MEMORY_FILES) if cgroup else None,
    )


@dataclass(frozen=True, slots=True)
class ProcessTimes:
    """CPU times of one process, in clock ticks."""

    start: int
    """When the process started; distinguishes processes that had the same PID."""
    own: int
    reaped: int
    """Of the children it has waited for, and of their reaped children."""


def parse_process_times(stat: bytes) -> ProcessTimes:
    """Parse /proc/PID/stat. The candidate chooses the name in it, which may contain brackets and line breaks."""
    fields = stat[stat.rindex(b")") + 2 :].split()
    own, reaped = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return ProcessTimes(start=int(fields[19]), own=own, reaped=reaped)


def parse_cpu_s(text: bytes) -> float:
    """Parse cpuacct.usage (cgroup v1, nanoseconds) or cpu.stat (v2, `usage_usec` among other lines)."""
    words = text.split()
    return int(words[0]) / 1e9 if len(words) == 1 else int(words[words.index(b"usage_usec") + 1]) / 1e6


def parse_oom_kills(text: bytes) -> int:
    """Parse memory.oom_control (cgroup v1) or memory.events (v2). Kernels before 4.13 do not count: 0."""
    words = text.split()
    return int(words[words.index(b"oom_kill") + 1]) if b"oom_kill" in words else 0


def read_all_process_times(proc_fd: int) -> dict[int, ProcessTimes]:
    """Read the times of every process in a procfs except this one, zombies included, by PID."""
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir(proc_fd))):
        if pid == os.getpid():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # reaped in the meantime
            fd = os.open(f"{pid}/stat", os.O_RDONLY, dir_fd=proc_fd)
            try:
                found[pid] = parse_process_times(os.read(fd, 4096))
            finally:
                os.close(fd)
    return found


class CpuTime:
    """CPU time of one candidate. Constructed at the first measurement, so a short candidate does not pay for it."""

    def __init__(self, files: ProcFiles, pid: int):
        self._files = files
        self._leader_clock = (~pid << 3) | 2  # the kernel's clock id for the CPU time of a process
        self._last_seen: dict[int, ProcessTimes] = {}
        self._vanished_ticks = 0
        self._max_s = 0.0
        # Usage of the cgroup before this candidate; up to now its first process has done nearly all of its work.
        self._cgroup_base_s = 0.0 if files.cpu_fd is None else self._cgroup_s(files.cpu_fd) - self._leader_s()

    def measure_s(self) -> float:
        """Measure, in seconds; the result never decreases. The candidate's first process must not be reaped yet."""
        now_s = self._leader_s()
        if self._files.cpu_fd is not None:
            now_s = max(now_s, self._cgroup_s(self._files.cpu_fd) - self._cgroup_base_s)
        elif self._files.proc_fd is not None:
            now_s = max(now_s, self.sum_ticks(read_all_process_times(self._files.proc_fd)) / _TICKS_PER_S)
        self._max_s = max(self._max_s, now_s)
        return self._max_s

    def sum_ticks(self, processes: dict[int, ProcessTimes]) -> int:
        """Add up one snapshot of all processes; never more than was used.

        Processes that have ended count through the parents that reaped them, or through their last snapshot. Either
        sum may lack some of them, so the larger one is used.
        """
        for pid, times in self._last_seen.items():
            if pid not in processes or processes[pid].start != times.start:
                self._vanished_ticks += times.own
        self._last_seen = processes
        reaped = sum(times.reaped for times in processes.values())
        return sum(times.own for times in processes.values()) + max(reaped, self._vanished_ticks)

    def _leader_s(self) -> float:
        return time.clock_gettime(self._leader_clock)

    @staticmethod
    def _cgroup_s(fd: int) -> float:
        """Return the usage of the cgroup without that of this worker, the only other process in it."""
        return parse_cpu_s(os.pread(fd, 4096, 0)) - time.process_time()


class OomCounter:
    """Number of processes that the kernel killed because the memory of the cgroup was exhausted."""

    def __init__(self, files: ProcFiles):
        self._fd = files.memory_fd
        self._count = self._read()

    def increased(self) -> bool:
        """Return whether the number has increased since the last call."""
        previous, self._count = self._count, self._read()
        return self._count > previous

    def _read(self) -> int:
        return 0 if self._fd is None else parse_oom_kills(os.pread(self._fd, 4096, 0))


def _open_first(paths: Iterable[str]) -> int | None:
    for path in paths:
        with contextlib.suppress(OSError):
            return os.open(path, os.O_RDONLY)
    return None
