"""The life of a candidate's process, from the fork to its exit.

The process reads its own program from the host's stream, so that the worker never holds it. It exits with code 70 if
it cannot start the program, and reports why (see `sandbox.process`).
"""

import contextlib
import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from ..framing import read_frame
from ..hardening import CALLS_FD, RESULTS_FD, harden_candidate
from ..process import FAULT, STARTED
from .calls import error_message, make_call, run_calls, serve_calls, type_name
from .check_harness import run_check_harness

EXIT_CODE_FAULT = 70


def run_candidate(
    limits: dict[str, Any],
    spec: dict[str, Any],
    *,
    requests_fd: int,
    results_fd: int,
    calls_fd: int | None = None,
    proc_fd: int | None = None,
) -> NoReturn:
    """Read a program, harden this process, run the program, and exit.

    Args:
        limits: limits of the program; `session` is `candidate` (calls follow one by one), `tester` (run a check) or
            absent (all calls come with the program).
        spec: the sandbox spec (see `sandbox.worker`).
        requests_fd: stream with one frame: the header has `source` and `entry_point`, the body is a JSON list of lists
            of tagged arguments. For a check the body is its JSON (see `check_harness`).
        results_fd: write end of the pipe for result lines.
        calls_fd: read end of the pipe for the lines of a session.
        proc_fd: a procfs, or None.
    """
    exit_now = os._exit
    try:
        frame = read_frame(requests_fd)
        if frame is None:  # the host has closed the stream
            exit_now(EXIT_CODE_FAULT)
        program, body = frame
        _set_oom_score(spec.get("oom_score_adj"), proc_fd)
        harden_candidate(limits, spec, results_fd=results_fd, calls_fd=calls_fd)
        run = _prepare(limits.get("session"), program, body, device=spec.get("device"))
    except BaseException as error:
        _report_fault(error, results_fd)
        exit_now(EXIT_CODE_FAULT)
    try:
        os.write(RESULTS_FD, STARTED)
        run()
    finally:
        exit_now(EXIT_CODE_FAULT)


def _prepare(session: str | None, program: dict[str, Any], body: bytes, *, device: str | None) -> Callable[[], None]:
    """Do everything that can fail before the program runs; return what runs it."""
    if session == "tester":
        return partial(run_check_harness, json.loads(body), reader=CALLS_FD, writer=RESULTS_FD)
    if session is not None:
        return partial(serve_calls, program)
    # The host wrote this JSON, so a tag can only be spelled like this.
    call = make_call(has_tags=b'"$' in body, device=device)
    return partial(run_calls, program, json.loads(body), call)


def _report_fault(error: BaseException, results_fd: int) -> None:
    """Tell the worker why the program will not run."""
    line = " ".join(f"{type_name(error)}: {error_message(error)}".split()).rstrip(":")
    for fd in (results_fd, RESULTS_FD):  # the first one is closed once this process is hardened
        with contextlib.suppress(OSError):
            os.write(fd, FAULT + line.encode("ascii", "replace"))
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
