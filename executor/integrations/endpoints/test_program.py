"""open-instruct's `POST /test_program` (asserts) and `POST /test_program_stdio`: 1 or 0 and a time for each test.

Each test is graded on its own. An assert runs in another sandbox than the program and calls it from outside, so a
program cannot forge a result; it must therefore be about one function of the program and plain values. An assert that
uses more of the program is HTTP 422, because 0 would be a wrong reward. open-instruct logs every error status and
scores the completion 0; remove such rows from the data.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from executor.convert.cases import choose_stdin_tolerance
from executor.convert.columns import SkipRow
from executor.convert.formats.livecodebench import read_pickle, unpack
from executor.grading.prepare import WALL_TIME_FACTOR
from executor.grading.tasks import parse_task
from executor.grading.tasks.values import parse_row_json
from executor.integrations.endpoints.programs import CompatRequest, ProgramRunner, respond
from executor.integrations.rows import build_assert_task
from executor.service.app import ApiError
from executor.service.settings import ServiceConfig
from executor.types import Limits, Outcome, Submission, Task

MAX_OPCODES = 1 << 20
"""Of the pickle of a request's tests; a stdin test takes about ten."""
NOT_RUN = -1.0
"""Time of a test that did not pass."""


class TestProgramRequest(CompatRequest):
    """Body of both routes."""

    __test__ = False  # not a pytest class

    program: str
    tests: Any = Field(description="a list, its JSON text, or its pickle compressed with zlib in base64")
    max_execution_time: Annotated[float, Field(gt=0, description="seconds of CPU time of each test")] = 1.0


def add_open_instruct(app: FastAPI, programs: ProgramRunner) -> None:
    """Add the routes."""

    async def test(request: Request, build_tasks: Any) -> Response:
        parsed = await programs.service.read(TestProgramRequest, request)
        try:
            tasks = await asyncio.to_thread(lambda: build_tasks(read_tests(parsed.tests)))
        except ValueError as error:
            raise ApiError(422, str(error)) from None
        submissions = [Submission(task=task, completion=parsed.program) for task in tasks]
        limits = choose_limits(parsed.max_execution_time, programs.service.config)
        return respond(build_response(await programs.grade(request, submissions, limits)))

    @app.post("/test_program", summary="Run asserts (open-instruct)", response_class=Response)
    async def test_program(request: Request) -> Response:
        return await test(request, build_assert_tasks)

    @app.post("/test_program_stdio", summary="Run stdin tests (open-instruct)", response_class=Response)
    async def test_program_stdio(request: Request) -> Response:
        return await test(request, build_stdin_tasks)

    @app.get("/health", summary="Health (open-instruct)", response_class=JSONResponse)
    async def health() -> Response:
        is_healthy = programs.service.executor.is_open and not programs.service.is_draining
        return JSONResponse({"status": "healthy" if is_healthy else "unhealthy"}, 200 if is_healthy else 503)


def read_tests(tests: Any) -> list[Any]:
    """Read the tests of a request.

    Raises:
        ValueError: they are not a list in one of the forms that open-instruct sends.
    """
    if isinstance(tests, str):
        try:
            tests = parse_row_json(tests)
        except ValueError:
            tests = _unpickle(tests)
    if not isinstance(tests, list):
        raise ValueError(f"tests must be a list, not {type(tests).__name__}")
    return tests


def build_assert_tasks(tests: Sequence[Any]) -> list[Task]:
    """Build one task for each assert.

    Raises:
        ValueError: one is no assert about one function; one line that names it.
    """
    tasks = []
    for position, test in enumerate(tests):
        try:
            tasks.append(build_assert_task([test], task_id=str(position)))
        except ValueError as error:
            raise ValueError(f"tests {position}: {error}") from None
    return tasks


def build_stdin_tasks(tests: Sequence[Any]) -> list[Task]:
    """Build one task for each stdin test.

    Raises:
        ValueError: one is not `{"input": str, "output": str}`; one line that names it.
    """
    tasks = []
    for position, test in enumerate(tests):
        if not isinstance(test, Mapping) or not all(isinstance(test.get(key), str) for key in ("input", "output")):
            raise ValueError(f'tests {position} must be {{"input": str, "output": str}}')
        row = {"stdin": test["input"], "stdout": test["output"]}
        task = {"task_id": str(position), "tests": [row], "float_tol": choose_stdin_tolerance([row], "")}
        tasks.append(parse_task(task))
    return tasks


def choose_limits(max_execution_time: float, config: ServiceConfig) -> Limits:
    """Choose the limits of each test: its time, at most that of `max_limits`."""
    most = config.max_limits
    return replace(
        config.limits,
        cpu_time_s=min(most.cpu_time_s, max_execution_time),
        wall_time_s=min(most.wall_time_s, max_execution_time * WALL_TIME_FACTOR),
        source_bytes=most.source_bytes,
    )


def build_response(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Build the body of a response."""
    return {
        "results": [int(outcome.passed) for outcome in outcomes],
        "runtimes": [outcome.duration_s if outcome.passed else NOT_RUN for outcome in outcomes],
    }


def _unpickle(text: str) -> Any:
    try:
        return read_pickle(unpack(text, "tests"), "tests", max_opcodes=MAX_OPCODES)
    except SkipRow as error:
        reason = error.reason.removeprefix("malformed: ")
        raise ValueError(f"tests must be a list, or its text in JSON or compressed: {reason}") from None
