"""From the bytes a candidate left to an execution. The bytes are hostile: every line may be anything."""

import signal
from typing import Any

from executor.sandbox.codec import parse_json, parse_tagged
from executor.types import (
    CHANGED_ARGUMENT,
    OVERSIZED_VALUE,
    UNSUPPORTED_TYPE,
    CallResult,
    Execution,
    Limits,
    Run,
    Status,
)

MAX_NAME_CHARS = 200


def execution_of(run: Run, limits: Limits, reply: dict[str, Any], body: bytes) -> Execution:
    """Read what the worker says of a candidate's end (trusted) and what the candidate wrote (not trusted)."""
    results, failure, detail = _read_lines(body, len(run.calls))
    if reply["end"] is not None or (failure is None and len(results) < len(run.calls)):
        failure, detail = failure_of(limits, reply)
    return Execution(failure=failure, results=tuple(results), duration_s=reply["wall_s"], detail=detail)


_LIMIT_DETAILS = {
    "timeout": "ran out of time",
    "output_limit": "returned more than allowed",
    "memory": "its memory was full",
}


def failure_of(limits: Limits, reply: dict[str, Any]) -> tuple[Status, str]:
    """Name what ended a candidate before it had answered every call, from what the worker says of its end."""
    end, code = reply["end"], reply["exit_code"]
    if end == "fault":
        return Status.INFRA, f"its sandbox could not begin it: {reply['why']}"
    if end is not None:
        return Status(end), _LIMIT_DETAILS[end]
    if -code == signal.SIGXCPU or (-code == signal.SIGKILL and reply["cpu_s"] >= limits.cpu_time_s):
        return Status.TIMEOUT, _LIMIT_DETAILS["timeout"]
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return Status.CRASH, f"killed by {name}"
    return Status.CRASH, f"left with exit code {code} before answering every call"


def _read_lines(body: bytes, num_calls: int) -> tuple[list[CallResult], Status | None, str]:
    results: list[CallResult] = []
    lines = body.split(b"\n")[:-1]  # what follows the last line break was cut off
    try:
        for line in lines:
            kind, text = line[:1], line[1:].decode("ascii")
            if kind == b"l" and not results:
                return [], *load_failure_of(text)
            if len(results) == num_calls:
                raise ValueError("more results than calls")
            results.append(read_result(kind, text))
    except Exception as error:  # whatever a reader trips over is the fault of these bytes, and of no other program
        return results, Status.CRASH, f"wrote malformed results: {str(error)[:MAX_NAME_CHARS]}"
    return results, None, ""


def read_result(kind: bytes, text: str, *, extended: bool = False) -> CallResult:
    """Read a result line: its first byte and the rest. `extended` as in `executor.sandbox.codec`.

    Raises:
        ValueError: it makes no sense.
    """
    if kind == b"v":
        return CallResult(value=parse_tagged(text, extended=extended))
    if kind == b"u":
        return CallResult(error=UNSUPPORTED_TYPE)
    if kind == b"o":
        return CallResult(error=OVERSIZED_VALUE)
    if kind == b"m" and not extended:
        return CallResult(error=CHANGED_ARGUMENT)
    if kind == b"e":
        name = parse_json(text)
        if isinstance(name, str):
            return CallResult(error=name[:MAX_NAME_CHARS])
    raise ValueError(f"a line of kind {kind!r}")


def load_failure_of(text: str) -> tuple[Status, str]:
    """Read the rest of an `l` line.

    Raises:
        ValueError: it makes no sense.
    """
    parts = parse_json(text)
    if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise ValueError("a malformed load error")
    name, message = (part[:MAX_NAME_CHARS] for part in parts)
    return Status.MEMORY if name == "MemoryError" else Status.LOAD_ERROR, f"{name}: {message}"
