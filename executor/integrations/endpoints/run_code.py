"""SandboxFusion's `POST /run_code`: runs a Python program on a standard input and returns its output.

The clients compare the output themselves, so expected output is not sent here. What differs from SandboxFusion: only
`language: python`; files are text, lie in the working directory and cannot be fetched; `stderr` has one line that says
why a program failed; a fault of ours and a full queue are HTTP 504, which verl retries, instead of `SandboxError`.
"""

import base64
import signal
from dataclasses import replace
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import Field

from executor.integrations.endpoints.programs import CompatRequest, ProgramRunner, respond
from executor.service.app import ApiError
from executor.service.models import encode_stdin
from executor.service.settings import ServiceConfig
from executor.types import MIN_MEMORY_BYTES, Execution, Limits, Run, Status

Seconds = Annotated[float, Field(gt=0)]
QUEUE_S = 8.0
"""Time for waiting in the queue beyond both timeouts; verl waits 10 s longer than both."""
_KILLED = -int(signal.SIGKILL)
_MAX_NAME_CHARS = 255


class RunCodeRequest(CompatRequest):
    """Body of /run_code."""

    code: str
    language: str
    stdin: str | None = None
    compile_timeout: Seconds = Field(10, description="added to the wall time; Python has no step of compilation")
    run_timeout: Seconds = Field(10, description="seconds of CPU time, at most those of max_limits")
    memory_limit_MB: int | None = Field(-1, description="MiB; -1 or null: the limit of the service")
    files: dict[str, str | None] = Field({}, description="name in the working directory to content in base64")
    fetch_files: list[str] = []


def add_run_code(app: FastAPI, programs: ProgramRunner) -> None:
    """Add the route."""

    @app.post("/run_code", summary="Run a Python program (SandboxFusion)", response_class=Response)
    async def run_code(request: Request) -> Response:
        parsed = await programs.service.read(RunCodeRequest, request)
        try:
            run = build_run(parsed)
        except ValueError as error:
            raise ApiError(422, str(error)) from None
        limits = choose_limits(parsed, programs.service.config, programs.service.executor.time_factor)
        within_s = parsed.run_timeout + parsed.compile_timeout + QUEUE_S
        execution = await programs.run(request, run, limits, within_s=within_s)
        return respond(build_response(execution))


def build_run(request: RunCodeRequest) -> Run:
    """Build the program of a request.

    Raises:
        ValueError: the request needs an unsupported feature; the message names the key.
    """
    if request.language != "python":
        raise ValueError(f"language must be python, not {request.language!r:.40}")
    if request.fetch_files:
        raise ValueError(f"fetch_files must be empty: files of a program cannot be fetched ({request.fetch_files[0]})")
    files = {name: _decode(name, content) for name, content in request.files.items() if content is not None}
    return Run(source=request.code, stdin=encode_stdin(request.stdin or ""), files=files)


def choose_limits(request: RunCodeRequest, config: ServiceConfig, time_factor: float) -> Limits:
    """Choose the limits of a program: those of the request, at most `max_limits`.

    Args:
        request: its `run_timeout` is a limit on CPU time. The wall time is that and `compile_timeout` in seconds of
            this machine, because the clients wait for both and other programs share the machine.
        config: of the service.
        time_factor: by which the executor multiplies times.
    """
    most = config.max_limits
    memory_bytes = config.limits.memory_bytes
    if (memory_mib := request.memory_limit_MB or 0) > 0:
        memory_bytes = max(MIN_MEMORY_BYTES, min(most.memory_bytes, memory_mib << 20))
    return replace(
        config.limits,
        cpu_time_s=min(most.cpu_time_s, request.run_timeout),
        wall_time_s=min(most.wall_time_s, (request.run_timeout + request.compile_timeout) / time_factor),
        memory_bytes=memory_bytes,
        source_bytes=most.source_bytes,
    )


def build_response(execution: Execution) -> dict[str, Any]:
    """Build the body of a response, in the words of SandboxFusion."""
    is_timeout = execution.failure is Status.TIMEOUT
    return_code = execution.exit_code
    if return_code is None and not is_timeout:
        return_code = _KILLED if execution.failure is Status.MEMORY else 1
    return {
        "status": "Success" if execution.failure is None else "Failed",
        "message": "",
        "compile_result": None,
        "run_result": {
            "status": "TimeLimitExceeded" if is_timeout else "Finished",
            "execution_time": execution.duration_s,
            "return_code": None if is_timeout else return_code,
            "stdout": (execution.stdout or b"").decode("utf-8", "replace"),
            "stderr": execution.detail,
        },
        "executor_pod_name": None,
        "files": {},
    }


def _decode(name: str, content: str) -> str:
    if not 0 < len(name) <= _MAX_NAME_CHARS or "/" in name or "\0" in name or name in (".", ".."):
        raise ValueError(f"files: a name must be that of a file in the working directory, not {name[:60]!r}")
    try:
        return base64.b64decode(content, validate=True).decode("utf-8")
    except ValueError:
        raise ValueError(f"files: {name} must be UTF-8 text in base64") from None
