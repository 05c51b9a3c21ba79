"""The fork server inside a sandbox: one fork a candidate, all its calls in that fork, a proven clean reset after it.

Standard library only; started by a backend as `python worker.py BOX_JSON`, usually as process 1 of its own namespace.
Requests come on standard input, replies leave on standard output (`executor.wire`). It forwards what the candidate
wrote as opaque bytes and never parses them. It ends when its standard input does, and after a reset it cannot prove;
whoever started it then starts another.

Box: `uid` for candidates (null: our own), `max_processes` (null: no limit), `scratch` (their only writable folder)
and `owns_namespace` (true: every other process in sight is the candidate's).
"""

import contextlib
import gc
import json
import os
import select
import signal
import stat
import sys
import time
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from candidate import become, run_candidate  # type: ignore[import-not-found]
from wire import read_frame, write_frame  # type: ignore[import-not-found]

sys.path.pop(0)

PRELOADED = (
    "bisect collections copy dataclasses datetime decimal enum fractions functools heapq itertools math operator "
    "random re statistics string textwrap typing"
)
"""Loaded before the first fork, because candidates import little else and an import costs more than a fork."""
TICK_MS = 20
MAX_RESET_S = 1.0
SCRATCH_MODE = 0o1777
_PIPE_BYTES = 256 << 10


def serve(requests: int, replies: int, box: dict[str, Any]) -> None:
    """Answer requests one by one until the stream ends or a reset fails."""
    write_frame(replies, {"ready": True})
    while (frame := read_frame(requests)) is not None:
        program, calls = frame
        reply, results = _run(program, calls, box)
        write_frame(replies, reply, results)
        if not reply["clean"]:
            return


def _run(program: dict[str, Any], calls: bytes, box: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    reader, writer = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        run_candidate(program, calls, writer, box)
    os.close(writer)
    os.set_blocking(reader, False)
    results = bytearray()
    end = _watch(pid, reader, results, program, started)
    os.kill(pid, signal.SIGKILL)  # not reaped yet, so the id is still its own
    _, status, usage = os.wait4(pid, 0)
    _drain(reader, results, program["output_bytes"])
    if end is None and len(results) > program["output_bytes"]:
        end = "output_limit"
    os.close(reader)
    reply = {
        "id": program["id"],
        "end": end,
        "exit_code": os.waitstatus_to_exitcode(status),
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "wall_s": time.monotonic() - started,
        "clean": _reset(pid, box),
    }
    return reply, bytes(results[: program["output_bytes"]])


def _watch(pid: int, reader: int, results: bytearray, program: dict[str, Any], started: float) -> str | None:
    """Wait for the candidate's own process to end; None when it did by itself, else the limit it ran into.

    The pipe is looked at once a tick, not at every write: a candidate with hundreds of calls wakes us once.
    """
    cpu_clock = (~pid << 3) | 2  # the kernel's name for the CPU clock of a process
    process = os.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(process, select.POLLIN)
        while not poller.poll(TICK_MS):
            _drain(reader, results, program["output_bytes"])
            if len(results) > program["output_bytes"]:
                return "output_limit"
            if time.monotonic() - started > program["wall_time_s"]:
                return "timeout"
            if time.clock_gettime(cpu_clock) > program["cpu_time_s"]:
                return "timeout"
        return None
    finally:
        os.close(process)


def _drain(reader: int, results: bytearray, cap: int) -> None:
    """Read what lies in the pipe, at most one byte over the cap; never waits for more."""
    while (room := cap + 1 - len(results)) > 0:
        try:
            chunk = os.read(reader, min(room, _PIPE_BYTES))
        except BlockingIOError:
            return
        if not chunk:
            return
        results += chunk


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
    if os.listdir(scratch):
        pid = os.fork()  # the files are the candidate's: remove them as the candidate, when nothing of it runs any more
        if pid == 0:
            try:
                become(box["uid"])
                _remove_within(scratch)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    attributes = os.listxattr(scratch)
    os.chmod(scratch, SCRATCH_MODE)
    os.utime(scratch, ns=(0, 0))
    return not os.listdir(scratch) and not attributes


def _remove_within(folder: str) -> None:
    for name in os.listdir(folder):
        with contextlib.suppress(OSError, RecursionError):  # what is left is seen afterwards
            _remove(os.path.join(folder, name))


def _remove(path: str) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        os.chmod(path, 0o700)
        for name in os.listdir(path):
            _remove(os.path.join(path, name))
        os.rmdir(path)
    else:
        os.unlink(path)


def main() -> None:
    """Keep the two streams, give the standard descriptors away, load what candidates import, serve."""
    box = json.loads(sys.argv[1])
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    for name in PRELOADED.split():
        __import__(name)
    gc.collect()
    gc.freeze()
    serve(requests, replies, box)


if __name__ == "__main__":
    main()
