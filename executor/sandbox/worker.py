"""The fork server inside a sandbox: one fork per candidate, all its calls in that fork, and a proven reset after it.

The backend starts it, usually as process 1 of its own PID namespace. Requests arrive on standard input, replies leave
on standard output (see `framing`). The worker reads only the header of a request, which holds limits; the candidate's
process reads the body with the program and its calls. The worker forwards a candidate's output as opaque bytes and
keeps none of it (see `zeroing_buffer`), so the memory from which the next candidate is forked contains nothing of a
previous one. It exits when its standard input ends, and after a reset that it cannot prove; the pool then starts
another sandbox.

Keys of the sandbox spec, a JSON object:
    uid: user id of candidates; null: that of the worker.
    max_processes: limit for `uid`, threads included; null: none.
    scratch: the only directory that candidates can write to.
    owns_namespace: true if all other processes in the PID namespace belong to the candidate.
    seccomp: filter program in base64 (see `executor.backends.seccomp`); optional, as are all that follow.
    proc: path of a procfs of this namespace, which candidates cannot read where they run as the worker's user.
    cgroup: true if /sys/fs/cgroup is the sandbox's own.
    oom_score_adj: of candidates; the kernel kills the highest first.
    packages: directory with torch, which is then imported before the first fork.
    cuda: value of CUDA_VISIBLE_DEVICES for candidates.
"""

import contextlib
import gc
import json
import os
import signal
import stat
import sys
import time
from typing import Any

from .accounting import OomCounter, ProcFiles, open_proc_files
from .candidate.main import run_candidate
from .framing import read_header, write_frame
from .hardening import drop_privileges, harden_worker
from .process import ChildProcess, relay_session
from .zeroing_buffer import ZeroingBuffer

PRELOADED = (
    "bisect collections copy dataclasses datetime decimal enum fractions functools heapq itertools math operator "
    "random re statistics string textwrap typing"
)
"""Imported before the first fork: candidates rarely import anything else, and an import costs more than a fork."""
MAX_RESET_S = 1.0
SCRATCH_MODE = 0o1777
UNLIMITED_BYTES = 1 << 46
FALLBACK_BASE_BYTES = 8 << 30
"""Address space that torch is assumed to take where there is no procfs to measure it."""


class Worker:
    """Runs candidates one after another. Nothing it knows of a candidate outlives that candidate's request."""

    def __init__(self, requests_fd: int, replies_fd: int, spec: dict[str, Any], files: ProcFiles):
        self._requests_fd = requests_fd
        self._replies_fd = replies_fd
        self._spec = spec
        self._files = files
        self._oom_kills = OomCounter(files)
        self._results = ZeroingBuffer()
        self._pending_calls = ZeroingBuffer()
        """Calls of a session that its candidate has not read yet."""

    def serve(self) -> None:
        """Send the ready message, then answer requests until the stream ends or a reset fails."""
        write_frame(self._replies_fd, {"ready": True})
        while (request := read_header(self._requests_fd)) is not None:
            limits, body_size = request
            if "id" not in limits:  # a message to a session whose candidate has ended in the meantime
                self._pending_calls.read_exactly_from(self._requests_fd, body_size)
            elif not self._run(limits):
                return
            self._results.clear()
            self._pending_calls.clear()

    def _run(self, limits: dict[str, Any]) -> bool:
        """Run one candidate and reply; return whether the sandbox is clean."""
        results_fd, results_writer = os.pipe()
        calls_reader, calls_fd = os.pipe() if limits.get("session") else (None, None)
        pid = os.fork()
        if pid == 0:
            fds = {"requests_fd": self._requests_fd, "results_fd": results_writer, "calls_fd": calls_reader}
            run_candidate(limits, self._spec, **fds, proc_fd=self._files.proc_fd)
        os.close(results_writer)
        child = ChildProcess(pid, results_fd, limits, self._files, self._results)
        if calls_reader is None or calls_fd is None:
            end = child.wait()
        else:
            os.close(calls_reader)
            streams = {"requests_fd": self._requests_fd, "replies_fd": self._replies_fd}
            end = relay_session(child, calls_fd, self._pending_calls, **streams)
            os.close(calls_fd)
        reply = child.finish(end, self._oom_kills)
        # A process that did not start may have left its program in the stream, so what follows cannot be trusted.
        reply["clean"] = _reset(pid, self._spec) and child.has_started
        with self._results.peek(limits["output_bytes"]) as output:
            write_frame(self._replies_fd, reply, output)
        return reply["clean"]


def _reset(pid: int, spec: dict[str, Any]) -> bool:
    """Remove everything that a candidate left behind; return True only if nothing remains, within `MAX_RESET_S`."""
    start = time.monotonic()
    if spec["owns_namespace"]:
        clean = _kill_all() and _clean_scratch(spec)
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        _remove_contents(spec["scratch"])
        clean = not os.listdir(spec["scratch"])
    return clean and time.monotonic() - start < MAX_RESET_S


def _kill_all() -> bool:
    """Kill and reap all other processes of the namespace. Orphans become children of process 1, so none escapes."""
    for _ in range(4):
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return True
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            pass
    return False


def _clean_scratch(spec: dict[str, Any]) -> bool:
    scratch = spec["scratch"]
    os.chmod(scratch, SCRATCH_MODE)  # where candidates run as the worker's user they may have locked it
    if not _is_empty(spec):
        pid = os.fork()  # the files belong to the candidate's user: remove them as that user
        if pid == 0:
            try:
                drop_privileges(spec["uid"])
                _remove_contents(scratch)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    if os.listxattr(scratch) != spec["attributes"]:  # their names are in our memory now, so this worker must not go on
        return False
    os.utime(scratch, ns=(0, 0))
    _reset_device_times(spec["devices"])
    return _is_empty(spec)


def _is_empty(spec: dict[str, Any]) -> bool:
    """Check whether scratch is empty. Names are read only if its size is inconclusive: they would stay in memory."""
    return os.stat(spec["scratch"]).st_size == spec["empty_size"] and not os.listdir(spec["scratch"])


def _remove_contents(directory: str) -> None:
    """Empty a directory as far as permissions allow; the caller checks what is left.

    It changes directory one level at a time, because trees may be deeper than a path or Python's stack can be.
    """
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir(directory)
    path: list[str] = []
    pending = [os.listdir(".")]
    try:
        while True:
            if pending[-1]:
                name = pending[-1].pop()
                with contextlib.suppress(OSError):
                    if not stat.S_ISDIR(os.lstat(name).st_mode):
                        os.unlink(name)
                        continue
                    os.chmod(name, 0o700)
                    os.chdir(name)
                    path.append(name)
                    pending.append(os.listdir("."))
            elif not path:
                return
            else:
                pending.pop()
                os.chdir("..")
                with contextlib.suppress(OSError):
                    os.rmdir(path.pop())
    finally:
        os.fchdir(here)
        os.close(here)


def _writable_devices() -> dict[str, tuple[int, int] | None]:
    """Find the devices that everyone may write to, and their times in ns; None where we may not set these."""
    found: dict[str, tuple[int, int] | None] = {}
    for entry in os.scandir("/dev"):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISCHR(status.st_mode) and status.st_mode & stat.S_IWOTH:
            found[entry.path] = (status.st_atime_ns, status.st_mtime_ns) if os.geteuid() == status.st_uid else None
    return found


def _reset_device_times(devices: dict[str, tuple[int, int] | None]) -> None:
    """Restore the times of devices, the only trace that touching a device leaves; or set them to now."""
    for device, times in devices.items():
        with contextlib.suppress(OSError):
            os.utime(device, ns=times) if times is not None else os.utime(device)


def _preload_torch(spec: dict[str, Any]) -> None:
    """Import torch (and Triton) once for all candidates. Each candidate creates its own CUDA context."""
    os.environ |= {"OMP_NUM_THREADS": "1", "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
    os.environ["CUDA_VISIBLE_DEVICES"] = spec.get("cuda") or ""
    sys.path += [spec["packages"]]
    torch = __import__("torch")
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    if spec.get("cuda") is not None:
        with contextlib.suppress(ImportError):  # not installed everywhere
            __import__("triton")
    from .candidate import torch_values as torch_values


def _measure_address_space(files: ProcFiles) -> int:
    """Measure the address space of this process in bytes; each candidate starts with as much."""
    path = "/proc/self/statm" if files.proc_fd is None else "self/statm"
    try:
        fd = os.open(path, os.O_RDONLY, dir_fd=files.proc_fd)
    except OSError:
        return FALLBACK_BASE_BYTES
    try:
        return int(os.read(fd, 100).split()[0]) * os.sysconf("SC_PAGE_SIZE")
    finally:
        os.close(fd)


def main(spec_json: str) -> None:
    """Harden this process, take over the standard streams, import what candidates use, and serve."""
    spec = json.loads(spec_json)
    try:
        files = open_proc_files(spec)
        harden_worker(spec)
    except (OSError, ValueError) as error:
        sys.exit(f"worker: hardening failed: {error}")
    spec["devices"] = _writable_devices() if spec["owns_namespace"] else {}
    spec["empty_size"], spec["attributes"] = os.stat(spec["scratch"]).st_size, os.listxattr(spec["scratch"])
    # Process 1 receives only signals that it has a handler for, and Python installs one for SIGINT.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    requests_fd, replies_fd = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    for name in PRELOADED.split():
        __import__(name)
    if spec.get("packages") is not None:
        _preload_torch(spec)
        # A CUDA context maps more addresses than there is memory: GPU memory is limited from outside instead.
        spec["device"] = "cpu" if spec.get("cuda") is None else "cuda"
        spec["base_bytes"] = _measure_address_space(files) if spec.get("cuda") is None else UNLIMITED_BYTES
    gc.collect()
    gc.freeze()
    Worker(requests_fd, replies_fd, spec, files).serve()
