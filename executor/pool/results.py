"""Parse the bytes a candidate wrote into an execution. The bytes are hostile: any line may be anything."""

import signal
from typing import Any

from executor.strict_json import parse_json, parse_tagged
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
MAX_BASES = 16


def parse_execution(run: Run, limits: Limits, reply: dict[str, Any], body: bytes) -> Execution:
    """Build an execution from the worker's reply (trusted) and from what the candidate wrote (not trusted)."""
    if run.stdin is not None:
        return _parse_whole_program(limits, reply, body)
    results, failure, detail = _read_lines(body, len(run.calls))
    if reply["end"] is not None or (failure is None and len(results) < len(run.calls)):
        failure, detail = describe_end(limits, reply)
    return Execution(failure=failure, results=tuple(results), duration_s=reply["wall_s"], detail=detail)


def _parse_whole_program(limits: Limits, reply: dict[str, Any], stdout: bytes) -> Execution:
    """Build the execution of a whole program; it has failed unless it exited with code 0.

    The name of an uncaught exception comes from the program's own process: it tells failures apart and nothing else.
    """
    code, error = reply["exit_code"], reply.get("error")
    if reply["end"] is None and code == 0:
        return Execution(failure=None, results=(), stdout=stdout, exit_code=0, duration_s=reply["wall_s"])
    if reply["end"] is not None or code < 0:
        failure, detail = describe_end(limits, reply)
    elif isinstance(error, str):
        failure, detail = _STATUS_OF_UNCAUGHT.get(error, Status.EXCEPTION), f"raised {error[:MAX_NAME_CHARS]}"
    else:
        failure, detail = Status.EXCEPTION, f"exit code {code}"
    exit_code = code if reply["end"] is None else None
    return Execution(
        failure=failure,
        results=(),
        stdout=stdout,
        exit_code=exit_code,
        duration_s=reply["wall_s"],
        detail=detail,
    )


_STATUS_OF_UNCAUGHT = {
    "MemoryError": Status.MEMORY,
    "SyntaxError": Status.LOAD_ERROR,
    "IndentationError": Status.LOAD_ERROR,
    "TabError": Status.LOAD_ERROR,
}
_LIMIT_DETAILS = {
    "timeout": "ran out of time",
    "output_limit": "returned more than allowed",
    "memory": "its memory was full",
}


def describe_end(limits: Limits, reply: dict[str, Any]) -> tuple[Status, str]:
    """Return why a candidate ended before it had answered every call, from the worker's reply."""
    end, code = reply["end"], reply["exit_code"]
    if end == "fault":
        return Status.INFRA, f"its sandbox could not start it: {reply['why']}"
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
                return [], *parse_load_failure(text)
            if len(results) == num_calls:
                raise ValueError("more results than calls")
            results.append(parse_result(kind, text))
    except Exception as error:  # whatever the parser fails on is the fault of these bytes alone
        return results, Status.CRASH, f"wrote malformed results: {str(error)[:MAX_NAME_CHARS]}"
    return results, None, ""


def parse_result(kind: bytes, text: str, *, extended: bool = False) -> CallResult:
    """Parse a result line: its first byte and the rest. `extended` as in `executor.sandbox.codec`.

    Raises:
        ValueError: it is malformed.
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
        return _parse_exception(parse_json(text))
    raise ValueError(f"a line of kind {kind!r}")


def _parse_exception(content: Any) -> CallResult:
    """Parse an exception: its name, or a list of its name, the names of its base classes, and its message."""
    if isinstance(content, str):
        return CallResult(error=content[:MAX_NAME_CHARS])
    if not isinstance(content, list) or len(content) != 3:
        raise ValueError("a malformed exception")
    name, bases, message = content
    if not isinstance(bases, list) or not all(isinstance(part, str) for part in (name, message, *bases)):
        raise ValueError("a malformed exception")
    return CallResult(
        error=name[:MAX_NAME_CHARS],
        error_bases=tuple(base[:MAX_NAME_CHARS] for base in bases[:MAX_BASES]),
        error_message=message[:MAX_NAME_CHARS],
    )


def parse_load_failure(text: str) -> tuple[Status, str]:
    """Parse the rest of an `l` line, a load failure.

    Raises:
        ValueError: it is malformed.
    """
    parts = parse_json(text)
    if not isinstance(parts, list) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise ValueError("a malformed load error")
    name, message = (part[:MAX_NAME_CHARS] for part in parts)
    return Status.MEMORY if name == "MemoryError" else Status.LOAD_ERROR, f"{name}: {message}"
