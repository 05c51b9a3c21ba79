"""The fork server inside a sandbox: one fork a candidate, all its calls in that fork, a proven clean reset after it.

Standard library only; started by a backend as `python worker.py BOX_JSON`, usually as process 1 of its own namespace.
Requests come on standard input, replies leave on standard output (`executor.sandbox.framing`). Of a request it reads the header,
which holds limits; the body, program and calls, is read by the candidate's own process, once that is forked. What the
candidate wrote is forwarded as opaque bytes, never parsed and not kept (`executor.sandbox.zeroing_buffer`). So there is nothing of one
program in the memory from which the next one is forked. It ends when its standard input does, and after a reset it
cannot prove; whoever started it then starts another.

Box: `uid` for candidates (null: our own), `max_processes` (null: no limit), `scratch` (their only writable folder)
and `owns_namespace` (true: every other process in sight is the candidate's). It may have `seccomp` (base64, see
`executor.backends.seccomp`), `proc` (a procfs of this namespace, for us alone), `cgroup` (true: /sys/fs/cgroup is this
sandbox's), `oom_score_adj` (of candidates; the kernel ends the highest first) and `packages` (a folder with torch,
which is imported before the first fork: candidates then take and give tensors) and `cuda` (the device they see).
"""

import contextlib
import gc
import json
import os
import signal
import stat
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from .accounting import OutOfMemory, Sources, open_sources
from .candidate import become, run_candidate
from .framing import read_header, write_frame
from .hardening import confine_worker
from .process import Child
from .session import relay
from .zeroing_buffer import Passage

PRELOADED = (
    "bisect collections copy dataclasses datetime decimal enum fractions functools heapq itertools math operator "
    "random re statistics string textwrap typing"
)
"""Loaded before the first fork, because candidates import little else and an import costs more than a fork."""
MAX_RESET_S = 1.0
SCRATCH_MODE = 0o1777
UNBOUNDED_BYTES = 1 << 46
FALLBACK_BASE_BYTES = 8 << 30
"""Address space that torch is taken to need where no procfs tells."""


@dataclass
class Server:
    """Answers requests; what it knows of a candidate ends with that one's request."""

    requests: int
    replies: int
    box: dict[str, Any]
    sources: Sources
    results: Passage = field(default_factory=Passage)
    waiting: Passage = field(default_factory=Passage)
    """Calls of a session that its candidate has not read yet."""

    def serve(self) -> None:
        """Answer one by one until the stream ends or a reset fails."""
        out_of_memory = OutOfMemory(self.sources)
        write_frame(self.replies, {"ready": True})
        while (begun := read_header(self.requests)) is not None:
            limits, body_size = begun
            if "id" not in limits:  # a late word to a session whose candidate had ended by then
                self.waiting.fill(self.requests, body_size)
            elif not self._run(limits, out_of_memory):
                return
            self.results.clear()
            self.waiting.clear()

    def _run(self, limits: dict[str, Any], out_of_memory: OutOfMemory) -> bool:
        """Run a candidate and answer; whether the next one may come."""
        reader, writer = os.pipe()
        calls_reader, calls_writer = os.pipe() if limits.get("session") else (None, None)
        pid = os.fork()
        if pid == 0:
            fds = {"requests_fd": self.requests, "results_fd": writer, "calls_fd": calls_reader}
            run_candidate(limits, self.box, **fds, proc_fd=self.sources.processes_fd)
        os.close(writer)
        child = Child(pid, reader, limits, self.sources, self.results)
        if calls_reader is None or calls_writer is None:
            end = child.wait()
        else:
            os.close(calls_reader)
            end = relay(child, calls_writer, self.waiting, requests=self.requests, replies=self.replies)
            os.close(calls_writer)
        reply = child.close(end, out_of_memory)
        # Where it did not begin, its program may not have been read, and the stream cannot be trusted.
        reply["clean"] = _reset(pid, self.box) and child.has_begun
        with self.results.first(limits["output_bytes"]) as told:
            write_frame(self.replies, reply, told)
        return reply["clean"]


def _reset(pid: int, box: dict[str, Any]) -> bool:
    """Remove all a candidate left behind; True when it is proven that nothing remains."""
    started = time.monotonic()
    if box["owns_namespace"]:
        clean = _kill_all() and _clean_scratch(box)
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        _remove_within(box["scratch"])
        clean = not os.listdir(box["scratch"])
    return clean and time.monotonic() - started < MAX_RESET_S


def _kill_all() -> bool:
    """Kill and reap every process of the namespace but ourselves; orphans become our children, so none escapes."""
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


def _clean_scratch(box: dict[str, Any]) -> bool:
    scratch = box["scratch"]
    os.chmod(scratch, SCRATCH_MODE)  # an ordinary user's candidates own it, and may have locked it
    if not _is_empty(box):
        pid = os.fork()  # the files are the candidate's: remove them as the candidate, when nothing of it runs any more
        if pid == 0:
            try:
                become(box["uid"])
                _remove_within(scratch)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    if os.listxattr(scratch) != box["attributes"]:  # we have read their names, so we may not go on
        return False
    os.utime(scratch, ns=(0, 0))
    _reset_devices(box["devices"])
    return _is_empty(box)


def _is_empty(box: dict[str, Any]) -> bool:
    """Look whether the scratch folder is; its names are read only where its size does not tell, or they would stay."""
    return os.stat(box["scratch"]).st_size == box["empty_size"] and not os.listdir(box["scratch"])


def _remove_within(folder: str) -> None:
    """Empty a folder as far as one may; what is left is seen afterwards.

    It walks by steps of one folder, up and down, for trees may be deeper than a path or Python's stack can be.
    """
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir(folder)
    path: list[str] = []
    waiting = [os.listdir(".")]
    try:
        while True:
            if waiting[-1]:
                name = waiting[-1].pop()
                with contextlib.suppress(OSError):
                    if not stat.S_ISDIR(os.lstat(name).st_mode):
                        os.unlink(name)
                        continue
                    os.chmod(name, 0o700)
                    os.chdir(name)
                    path.append(name)
                    waiting.append(os.listdir("."))
            elif not path:
                return
            else:
                waiting.pop()
                os.chdir("..")
                with contextlib.suppress(OSError):
                    os.rmdir(path.pop())
    finally:
        os.fchdir(here)
        os.close(here)


def _devices_to_reset() -> dict[str, tuple[int, int] | None]:
    """Find the devices that anyone may write to, and their times, where these are ours to set."""
    found: dict[str, tuple[int, int] | None] = {}
    for entry in os.scandir("/dev"):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISCHR(status.st_mode) and status.st_mode & stat.S_IWOTH:
            found[entry.path] = (status.st_atime_ns, status.st_mtime_ns) if os.geteuid() == status.st_uid else None
    return found


def _reset_devices(devices: dict[str, tuple[int, int] | None]) -> None:
    """Take back the times of devices, the one trace that touching a device leaves; or set them all to now."""
    for device, times in devices.items():
        with contextlib.suppress(OSError):
            os.utime(device, ns=times) if times is not None else os.utime(device)


def _preload_torch(box: dict[str, Any]) -> None:
    """Import torch (and Triton) once for all candidates. No device is touched: a context is each candidate's own."""
    os.environ |= {"OMP_NUM_THREADS": "1", "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
    os.environ["CUDA_VISIBLE_DEVICES"] = box.get("cuda") or ""
    sys.path += [box["packages"]]
    torch = __import__("torch")
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    if box.get("cuda") is not None:
        with contextlib.suppress(ImportError):  # not on every machine with a GPU
            __import__("triton")
    from . import torch_values as torch_values


def _address_space(sources: Sources) -> int:
    """Measure what this process has mapped, bytes; candidates begin with as much."""
    place = "/proc/self/statm" if sources.processes_fd is None else "self/statm"
    try:
        fd = os.open(place, os.O_RDONLY, dir_fd=sources.processes_fd)
    except OSError:
        return FALLBACK_BASE_BYTES
    try:
        return int(os.read(fd, 100).split()[0]) * os.sysconf("SC_PAGE_SIZE")
    finally:
        os.close(fd)


def main() -> None:
    """Confine ourselves, keep the two streams, give the standard ones away, load what candidates import, serve."""
    box = json.loads(sys.argv[1])
    try:
        sources = open_sources(box)
        confine_worker(box)
    except (OSError, ValueError) as error:
        sys.exit(f"worker: it could not be confined: {error}")
    box["devices"] = _devices_to_reset() if box["owns_namespace"] else {}
    box["empty_size"], box["attributes"] = os.stat(box["scratch"]).st_size, os.listxattr(box["scratch"])
    # Process 1 gets no signal from its namespace for which it has no handler, and Python has one for this.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    for name in PRELOADED.split():
        __import__(name)
    if box.get("packages") is not None:
        _preload_torch(box)
        # A CUDA context maps more addresses than there is memory: there the memory is watched, not the addresses.
        box["device"] = "cpu" if box.get("cuda") is None else "cuda"
        box["base_bytes"] = _address_space(sources) if box.get("cuda") is None else UNBOUNDED_BYTES
    gc.collect()
    gc.freeze()
    Server(requests, replies, box, sources).serve()
