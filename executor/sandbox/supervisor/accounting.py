"""Resource usage of all processes of a candidate together: CPU time, memory, and kills by the kernel.

Both come from the sandbox's cgroup; without one from a procfs, where memory is the sum of the resident sets. Pages that
processes share count once for each, except for those that a fork inherits from the worker. Without either, CPU time is
that of the candidate's first process and memory is not measured. Where the PID namespace is not the sandbox's own, a
procfs is read for the first process alone. This module measures; `child` enforces the limits.
"""

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_CPU_FILES = ("/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpuacct/cpuacct.usage")
_OOM_FILES = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
_MEMORY_FILES = ("/sys/fs/cgroup/memory.stat", "/sys/fs/cgroup/memory/memory.stat")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MAX_INHERITED_BYTES = 16 << 20
"""Bound on what each process may have resident uncounted: it could replace the pages that it inherited by others."""


@dataclass(frozen=True, slots=True)
class ProcFiles:
    """Descriptors that the worker keeps open; None where a source does not exist. Candidates' copies are closed."""

    proc_fd: int | None = None
    cpu_fd: int | None = None
    oom_fd: int | None = None
    memory_fd: int | None = None
    is_shared: bool = False
    """Whether processes that are no candidate's show up in the procfs."""


def open_proc_files(spec: dict[str, Any]) -> ProcFiles:
    """Open what the sandbox spec names: `proc` (a procfs) and `cgroup` (true: /sys/fs/cgroup is the sandbox's own).

    Raises:
        OSError: the procfs cannot be opened.
    """
    proc = spec.get("proc")
    cgroup = bool(spec.get("cgroup"))
    proc_fd = None if proc is None else os.open(proc, os.O_RDONLY | os.O_DIRECTORY)
    return ProcFiles(
        proc_fd=proc_fd,
        cpu_fd=_open_first(_CPU_FILES) if cgroup else None,
        oom_fd=_open_first(_OOM_FILES) if cgroup else None,
        memory_fd=_open_first(_MEMORY_FILES) if cgroup and proc_fd is not None else None,
        is_shared=not spec.get("owns_namespace", True),
    )


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Resource usage of one process; CPU times in clock ticks."""

    start: int
    """When the process started; distinguishes processes that had the same PID."""
    own: int
    reaped: int
    """Of the children it has waited for, and of their reaped children."""
    resident_bytes: int = 0


def parse_process_usage(stat: bytes) -> ProcessUsage:
    """Parse /proc/PID/stat. The candidate chooses the name in it, which may contain brackets and line breaks."""
    fields = stat[stat.rindex(b")") + 2 :].split()
    own, reaped = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return ProcessUsage(start=int(fields[19]), own=own, reaped=reaped, resident_bytes=int(fields[21]) * _PAGE_BYTES)


def parse_cpu_s(text: bytes) -> float:
    """Parse cpuacct.usage (cgroup v1, nanoseconds) or cpu.stat (v2, `usage_usec` among other lines)."""
    words = text.split()
    return int(words[0]) / 1e9 if len(words) == 1 else int(words[words.index(b"usage_usec") + 1]) / 1e6


def parse_oom_kills(text: bytes) -> int:
    """Parse memory.oom_control (cgroup v1) or memory.events (v2). Kernels before 4.13 do not count: 0."""
    words = text.split()
    return int(words[words.index(b"oom_kill") + 1]) if b"oom_kill" in words else 0


def parse_memory_bytes(text: bytes) -> int:
    """Parse memory.stat of either version: anonymous and shared pages, without the cache of files."""
    words = text.split()
    anonymous = b"anon" if b"anon" in words else b"rss"
    return sum(int(words[words.index(name) + 1]) for name in (anonymous, b"shmem") if name in words)


def read_process_usage(proc_fd: int, pid: int) -> ProcessUsage | None:
    """Read the usage of one process, which may be a zombie; None if there is none."""
    try:
        return parse_process_usage(_read_at(proc_fd, f"{pid}/stat"))
    except (FileNotFoundError, ProcessLookupError):  # reaped in the meantime
        return None


def read_all_process_usage(proc_fd: int) -> dict[int, ProcessUsage]:
    """Read the usage of every process in a procfs except this one, zombies included, by PID."""
    pids = [int(name) for name in os.listdir(proc_fd) if name.isdigit()]
    found = {pid: read_process_usage(proc_fd, pid) for pid in pids if pid != os.getpid()}
    return {pid: usage for pid, usage in found.items() if usage is not None}


def read_own_pages(files: ProcFiles) -> list[int]:
    """Read /proc/self/statm in bytes: address space, resident set, shared part of it.

    Raises:
        OSError: there is no procfs.
    """
    proc_fd = files.proc_fd
    text = _read_at(proc_fd, "self/statm") if proc_fd is not None else _read_at(None, "/proc/self/statm")
    return [int(pages) * _PAGE_BYTES for pages in text.split()[:3]]


class Usage:
    """Usage of one candidate. Constructed at the first measurement, so a short candidate does not pay for it."""

    def __init__(self, files: ProcFiles, pid: int):
        """Begin to measure.

        Args:
            files: sources.
            pid: the candidate's first process. It must not be reaped before the last measurement.
        """
        self._files = files
        self._pid = pid
        self._leader_clock = (~pid << 3) | 2  # the kernel's clock id for the CPU time of a process
        self._last_seen: dict[int, ProcessUsage] = {}
        self._vanished_ticks = 0
        self._max_cpu_s = 0.0
        # Usage of the cgroup before this candidate; up to now its first process has done nearly all of its work.
        self._cgroup_base_s = 0.0 if files.cpu_fd is None else self._cgroup_s(files.cpu_fd) - self._leader_s()

    def measure(self) -> tuple[float, int]:
        """Measure CPU time in seconds, which never decreases, and memory in bytes, 0 where it cannot be measured."""
        cpu_s, memory_bytes = self._leader_s(), 0
        cpu_fd, memory_fd, proc_fd = self._files.cpu_fd, self._files.memory_fd, self._files.proc_fd
        if cpu_fd is not None:
            cpu_s = max(cpu_s, self._cgroup_s(cpu_fd) - self._cgroup_base_s)
        if proc_fd is not None and (cpu_fd is None or memory_fd is None):
            processes = self._read_processes(proc_fd)
            memory_bytes = self._sum_resident(processes)
            if cpu_fd is None:
                cpu_s = max(cpu_s, self.sum_ticks(processes) / _TICKS_PER_S)
        if memory_fd is not None:
            _, resident, shared = read_own_pages(self._files)
            memory_bytes = parse_memory_bytes(os.pread(memory_fd, 1 << 16, 0)) - (resident - shared)
        self._max_cpu_s = max(self._max_cpu_s, cpu_s)
        return self._max_cpu_s, memory_bytes

    def sum_ticks(self, processes: dict[int, ProcessUsage]) -> int:
        """Add up the CPU times of one snapshot of all processes; never more than was used.

        Processes that have ended count through the parents that reaped them, or through their last snapshot. Either
        sum may lack some of them, so the larger one is used.
        """
        for pid, usage in self._last_seen.items():
            if pid not in processes or processes[pid].start != usage.start:
                self._vanished_ticks += usage.own
        self._last_seen = processes
        reaped = sum(usage.reaped for usage in processes.values())
        return sum(usage.own for usage in processes.values()) + max(reaped, self._vanished_ticks)

    def _sum_resident(self, processes: dict[int, ProcessUsage]) -> int:
        """Add up resident sets in bytes; what all inherit from this process counts once."""
        inherited = min(read_own_pages(self._files)[1], _MAX_INHERITED_BYTES)
        return inherited + sum(max(0, usage.resident_bytes - inherited) for usage in processes.values())

    def _read_processes(self, proc_fd: int) -> dict[int, ProcessUsage]:
        if not self._files.is_shared:
            return read_all_process_usage(proc_fd)
        usage = read_process_usage(proc_fd, self._pid)
        return {} if usage is None else {self._pid: usage}

    def _leader_s(self) -> float:
        return time.clock_gettime(self._leader_clock)

    @staticmethod
    def _cgroup_s(fd: int) -> float:
        """Return the usage of the cgroup without that of this worker, the only other process in it."""
        return parse_cpu_s(os.pread(fd, 4096, 0)) - time.process_time()


class OomCounter:
    """Number of processes that the kernel killed because the memory of the cgroup was exhausted."""

    def __init__(self, files: ProcFiles):
        self._fd = files.oom_fd
        self._count = self._read()

    def increased(self) -> bool:
        """Return whether the number has increased since the last call."""
        previous, self._count = self._count, self._read()
        return self._count > previous

    def _read(self) -> int:
        return 0 if self._fd is None else parse_oom_kills(os.pread(self._fd, 4096, 0))


def _read_at(directory_fd: int | None, path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY, dir_fd=directory_fd)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)


def _open_first(paths: Iterable[str]) -> int | None:
    for path in paths:
        with contextlib.suppress(OSError):
            return os.open(path, os.O_RDONLY)
    return None
