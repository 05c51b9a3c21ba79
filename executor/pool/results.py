"""Parse the bytes a candidate wrote into an execution. The bytes are hostile: any line may be anything."""

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


def parse_execution(run: Run, limits: Limits, reply: dict[str, Any], body: bytes) -> Execution:
    """Build an execution from the worker's reply (trusted) and from what the candidate wrote (not trusted)."""
    results, failure, detail = _read_lines(body, len(run.calls))
    if reply["end"] is not None or (failure is None and len(results) < len(run.calls)):
        failure, detail = describe_end(limits, reply)
    return Execution(failure=failure, results=tuple(results), duration_s=reply["wall_s"], detail=detail)


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
        payload = parse_json(text)
        name = payload[0] if isinstance(payload, list) and payload else payload
        if isinstance(name, str):
            return CallResult(error=name[:MAX_NAME_CHARS])
    raise ValueError(f"a line of kind {kind!r}")


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
