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
    input: directory for the standard input of stdin programs, on a file system of its own; none can run without it.
    owns_namespace: true if all other processes in the PID namespace belong to the candidate.
    seccomp: filter program in base64 (see `executor.backends.seccomp`); optional, as are all that follow.
    proc: path of a procfs of this namespace, which candidates cannot read where they run as the worker's user.
    cgroup: true if /sys/fs/cgroup is the sandbox's own.
    oom_score_adj: of candidates; the kernel kills the highest first.
    packages: directory with torch, which is then imported before the first fork.
    cuda: value of CUDA_VISIBLE_DEVICES for candidates.
    host_bytes: main memory that a CUDA context may take in addition to the limit of a program.
    max_open_files: of each process of a candidate.
    max_reset_s: how long a reset may take.
"""

import contextlib
import gc
import json
import os
import signal
import sys
from typing import Any

from .candidate.main import run_candidate
from .candidate.warm_up import warm_up
from .framing import read_header, write_frame
from .hardening import harden_worker
from .supervisor.accounting import OomCounter, ProcFiles, open_proc_files, read_own_pages
from .supervisor.child import ChildProcess, read_uncaught_exception
from .supervisor.reset import describe_sandbox, reset
from .supervisor.session import relay_session
from .supervisor.zeroing_buffer import ZeroingBuffer

PRELOADED = (
    "bisect collections copy dataclasses datetime decimal enum fractions functools heapq itertools math operator "
    "random re statistics string textwrap typing _sitebuiltins"
)
"""Imported before the first fork: candidates rarely import anything else, and an import costs more than a fork."""
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
            elif not self._run(limits, body_size):
                return
            self._results.clear()
            self._pending_calls.clear()

    def _run(self, limits: dict[str, Any], body_size: int) -> bool:
        """Run one candidate and reply; return whether the sandbox is clean."""
        is_session, is_stdin = "session" in limits, bool(limits.get("stdin"))
        results_fd, results_writer = os.pipe()
        reader, writer = os.pipe() if is_session or is_stdin else (None, None)
        second_fd = reader if is_session else writer
        pid = os.fork()
        if pid == 0:
            fds = {"requests_fd": self._requests_fd, "results_fd": results_writer, "second_fd": second_fd}
            run_candidate(limits, self._spec, **fds, proc_fd=self._files.proc_fd)
        os.close(results_writer)
        if second_fd is not None:
            os.close(second_fd)
        input_bytes = body_size if is_stdin else 0
        child = ChildProcess(pid, results_fd, limits, self._spec, self._files, self._results, input_bytes=input_bytes)
        if is_session:
            assert writer is not None
            streams = {"requests_fd": self._requests_fd, "replies_fd": self._replies_fd}
            end = relay_session(child, writer, self._pending_calls, **streams)
            os.close(writer)
        else:
            end = child.wait()
        reply = child.finish(end, self._oom_kills)
        if is_stdin:
            assert reader is not None
            reply["error"] = read_uncaught_exception(reader)
        # A process that did not start may have left its program in the stream, so what follows cannot be trusted.
        reply["clean"] = reset(pid, self._spec, had_input=is_stdin) and child.has_read_request
        with self._results.peek(limits["output_bytes"]) as output:
            write_frame(self._replies_fd, reply, output)
        return reply["clean"]


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


def _measure_base(files: ProcFiles, spec: dict[str, Any]) -> dict[str, int]:
    """Measure what torch takes of every candidate's memory: address space and resident set of this process, in bytes.

    A CUDA context maps more addresses than there is memory, so only resident memory is limited then. GPU memory is
    limited from outside.

    Raises:
        OSError: nothing can be measured, and there is a CUDA context.
    """
    if spec.get("cuda") is not None:
        return {"base_bytes": UNLIMITED_BYTES, "resident_bytes": read_own_pages(files)[1] + spec["host_bytes"]}
    try:
        address_space, resident, _ = read_own_pages(files)
    except OSError:
        return {"base_bytes": FALLBACK_BASE_BYTES}
    return {"base_bytes": address_space, "resident_bytes": resident}


def main(spec_json: str) -> None:
    """Harden this process, take over the standard streams, import what candidates use, and serve."""
    spec = json.loads(spec_json)
    try:
        files = open_proc_files(spec)
        harden_worker(spec)
    except (OSError, ValueError) as error:
        sys.exit(f"worker: hardening failed: {error}")
    spec |= describe_sandbox(spec)
    spec["measures_memory"] = files.proc_fd is not None
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
        spec["device"] = "cpu" if spec.get("cuda") is None else "cuda"
        spec |= _measure_base(files, spec)
    warm_up()
    gc.collect()
    gc.freeze()
    Worker(requests_fd, replies_fd, spec, files).serve()
