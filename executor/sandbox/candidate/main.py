"""The life of a candidate's process, from the fork to its exit.

The process reads its own program from the host's stream, so that the worker never holds it. It exits with code 70 if
it cannot start the program, and reports why (see `sandbox.supervisor.child`).
"""

import contextlib
import json
import os
import resource
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from ..framing import FAULT, STARTED, TASK_FAULT, read_exactly, read_header
from ..hardening import CALLS_FD, RESULTS_FD, harden_candidate
from .calls import make_call, run_calls, serve_calls
from .check_harness import run_check_harness
from .exceptions import error_message, type_name
from .program import TaskFault, load_prelude
from .stdin_program import run_stdin_program, store_input, write_files

EXIT_CODE_FAULT = 70


def run_candidate(
    limits: dict[str, Any],
    spec: dict[str, Any],
    *,
    requests_fd: int,
    results_fd: int,
    second_fd: int | None = None,
    proc_fd: int | None = None,
) -> NoReturn:
    """Read a program, harden this process, run the program, and exit.

    Args:
        limits: limits of the program; `session` is `candidate` (calls follow one by one), `tester` (run a check) or
            absent (all calls come with the program); `stdin` is true for a program that runs as `__main__`.
        spec: the sandbox spec (see `sandbox.worker`).
        requests_fd: stream with one frame. Its header has `source`, `entry_point` and optionally `prelude`, its body is
            a JSON list of calls (see `calls`). For a check the body is its JSON (see `check_harness`), for a stdin
            program it is the standard input (see `stdin_program`).
        results_fd: write end of the pipe for result lines, or for the standard output of a stdin program.
        second_fd: read end of the pipe for the lines of a session, write end of the pipe on which a stdin program
            reports an exception, or None.
        proc_fd: a procfs, or None.
    """
    exit_now = os._exit
    try:
        start = read_header(requests_fd)
        if start is None:  # the host has closed the stream
            exit_now(EXIT_CODE_FAULT)
        program, body_size = start
        fds = {RESULTS_FD: results_fd} | ({} if second_fd is None else {CALLS_FD: second_fd})
        body = b""
        if limits.get("stdin"):
            fds[0] = store_input(requests_fd, body_size, spec["input"])
        else:
            body = read_exactly(requests_fd, body_size) or b""
        _set_oom_score(spec.get("oom_score_adj"), proc_fd)
        harden_candidate(limits, spec, fds)
        run = _prepare(limits, program, body, spec)
        _check_memory(limits, spec)
    except BaseException as error:
        _report_fault(error, results_fd)
        exit_now(EXIT_CODE_FAULT)
    try:
        os.write(RESULTS_FD, STARTED)
        run()
    finally:
        exit_now(EXIT_CODE_FAULT)


def _prepare(limits: dict[str, Any], program: dict[str, Any], body: bytes, spec: dict[str, Any]) -> Callable[[], None]:
    """Do everything that can fail before the program runs; return what runs it."""
    session = limits.get("session")
    if session == "tester":
        return partial(run_check_harness, json.loads(body), reader=CALLS_FD, writer=RESULTS_FD)
    if limits.get("stdin"):
        write_files(program.get("files", {}))
        load_prelude(program, "__main__")
        return partial(run_stdin_program, program, owns_namespace=spec["owns_namespace"])
    if session is not None:
        return partial(serve_calls, program, load_prelude(program))
    # The host wrote this JSON, so a tag can only be spelled like this.
    calls = json.loads(body)
    call = make_call(has_tags=b'"$' in body, device=spec.get("device"))
    return partial(run_calls, program, load_prelude(program), calls, call)


def _check_memory(limits: dict[str, Any], spec: dict[str, Any]) -> None:
    """Raise MemoryError if the arguments alone exceed the memory limit, which the program would be blamed for."""
    resident_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    if spec["measures_memory"] and resident_bytes > limits["memory_bytes"] + spec.get("resident_bytes", 0):
        raise MemoryError


def _report_fault(error: BaseException, results_fd: int) -> None:
    """Tell the worker why the program will not run."""
    is_of_task = isinstance(error, TaskFault)
    text = error_message(error) if is_of_task else f"{type_name(error)}: {error_message(error)}"
    line = (TASK_FAULT if is_of_task else FAULT) + " ".join(text.split()).rstrip(":").encode("ascii", "replace")
    for fd in (results_fd, RESULTS_FD):  # the first one is closed once this process is hardened
        with contextlib.suppress(OSError):
            os.write(fd, line)
            return


def _set_oom_score(oom_score_adj: int | None, proc_fd: int | None) -> None:
    """Set our oom_score_adj where that is permitted, so that the kernel kills candidates before the worker."""
    if oom_score_adj is None or proc_fd is None:
        return
    with contextlib.suppress(OSError):
        fd = os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=proc_fd)
        try:
            os.write(fd, str(oom_score_adj).encode("ascii"))
        finally:
            os.close(fd)
