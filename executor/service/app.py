"""The HTTP face of an executor: checks who asks and how much, streams verdicts as programs end.

It holds no rule of its own about programs: requests and answers are those of `executor.service.protocol`, verdicts those of
the executor behind it. Errors are `{"error": "one line"}`.
"""

import asyncio
import hmac
import math
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import fields
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from executor.api import LocalExecutor
from executor.grading.pass_at_k import summarize_batch
from executor.service.documentation import GRADE, RUN
from executor.service.logs import log_event
from executor.service.metrics import ServiceMetrics
from executor.service.protocol import (
    GradeRequest,
    MalformedBody,
    RunRequest,
    done_line,
    execution_line,
    outcome_line,
    parse_grade_request,
    parse_run_request,
)
from executor.service.settings import ServiceSettings
from executor.service.stream import LineStream
from executor.types import Execution, Limits, Outcome

VERSION = "v1"
_LARGE_BODY_BYTES = 1 << 16
"""From here on a body is parsed in a thread, so that others are not kept waiting."""
_FEW_PROGRAMS = 8
"""So many are started without a thread."""
_MAX_RETRY_AFTER_S = 30
_MAX_ERROR_CHARS = 200


class Refusal(Exception):
    """A request that is turned away, with one line."""

    def __init__(self, status: int, line: str, headers: dict[str, str] | None = None):
        super().__init__(line)
        self.status = status
        self.headers = headers


class Service:
    """What the requests of one app share."""

    def __init__(self, executor: LocalExecutor, settings: ServiceSettings, token: str | None):
        self.executor = executor
        self.settings = settings
        self.metrics = ServiceMetrics(executor)
        self.num_pending = 0
        """Programs taken on and not judged."""
        self.is_draining = False
        self._token = None if token is None else token.encode("ascii")
        self._num_batches = 0
        self._num_judged = 0
        self._started = time.monotonic()

    def check_token(self, request: Request) -> None:
        """Raise 401 unless the request has the token, or none is needed."""
        if self._token is None:
            return
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, b"Bearer " + self._token):
            raise Refusal(401, "a bearer token is needed, and this is not it", {"WWW-Authenticate": "Bearer"})

    async def read_body(self, request: Request) -> bytes:
        """Read a body up to the limit.

        Raises:
            Refusal: it is too large, or too slow.
        """
        limit = self.settings.max_body_bytes
        too_large = Refusal(413, f"the body is over {limit} bytes; send the batch in parts", {"Connection": "close"})
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > limit:
            raise too_large
        chunks, size = [], 0
        try:
            async with asyncio.timeout(self.settings.body_timeout_s):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limit:
                        raise too_large
                    chunks.append(chunk)
        except TimeoutError:
            line = f"the body did not arrive within {self.settings.body_timeout_s:g} s"
            raise Refusal(408, line, {"Connection": "close"}) from None
        return b"".join(chunks)

    async def parsed(self, body: bytes, parse: Callable[[bytes, Limits], Any]) -> Any:
        """Parse a body, a large one in a thread.

        Raises:
            Refusal: it is no request, or asks for more than allowed.
        """
        try:
            if len(body) > _LARGE_BODY_BYTES:
                request = await asyncio.to_thread(parse, body, self.settings.limits)
            else:
                request = parse(body, self.settings.limits)
        except ValueError as error:
            raise Refusal(400 if isinstance(error, MalformedBody) else 422, str(error)) from None
        for field in fields(Limits):
            most = getattr(self.settings.max_limits, field.name)
            if getattr(request.limits, field.name) > most:
                raise Refusal(422, f"limits: {field.name} is {getattr(request.limits, field.name)}; {most} is allowed")
        for profile in request.profiles - {"cpu"}:
            try:
                await asyncio.to_thread(self.executor.open_profile, profile)
            except ValueError as error:
                raise Refusal(422, str(error)) from None
        return request

    def admit(self, num_programs: int) -> "Batch":
        """Take a batch on.

        Raises:
            Refusal: the service is ending, or has enough to do.
        """
        if not self.executor.is_open:
            raise Refusal(503, "the sandboxes of the service have failed; start it anew")
        if self.is_draining:
            raise Refusal(503, "the service is ending", {"Retry-After": "5"})
        most = self.settings.max_waiting_programs
        if num_programs > most:
            raise Refusal(413, f"a batch of {num_programs} programs; {most} are taken on at once")
        if self.num_pending + num_programs > most:
            line = f"{self.num_pending} programs wait; {most} are taken on at once"
            raise Refusal(429, line, {"Retry-After": str(self._retry_after_s(num_programs))})
        self._num_batches += 1
        return Batch(self, self._num_batches, num_programs)

    def judged(self, status: str, run_s: float, queue_s: float) -> None:
        """Count a program that ended; in a thread of the executor."""
        self._num_judged += 1
        self.metrics.verdicts.labels(status).inc()
        self.metrics.run_seconds.observe(run_s)
        self.metrics.queue_seconds.observe(queue_s)

    def _retry_after_s(self, num_programs: int) -> int:
        rate = max(1.0, self._num_judged / max(1.0, time.monotonic() - self._started))
        excess = self.num_pending + num_programs - self.settings.max_waiting_programs
        return min(_MAX_RETRY_AFTER_S, max(1, math.ceil(excess / rate)))


class Batch:
    """One request's programs, from being taken on to the last verdict."""

    def __init__(self, service: Service, number: int, num_programs: int):
        self._service = service
        self._number = number
        self._num_programs = num_programs
        self._num_left = num_programs
        self._statuses: Counter[str] = Counter()
        self._started = time.monotonic()
        self.stream = LineStream(num_programs)
        service.num_pending += num_programs
        log_event("batch accepted", batch=number, num_programs=num_programs)

    def take_outcome(self, index: int, outcome: Outcome) -> None:
        self._service.judged(outcome.status.value, outcome.duration_s, outcome.queued_s)
        self._statuses[outcome.status.value] += 1
        self.stream.put(outcome_line(index, outcome))

    def take_run(self, index: int, future: Future[Execution]) -> None:
        if not future.cancelled():
            self.take_execution(index, future.result())

    def take_execution(self, index: int, execution: Execution) -> None:
        status = "ok" if execution.failure is None else execution.failure.value
        self._service.judged(status, execution.duration_s, execution.queued_s)
        self._statuses[status] += 1
        try:
            self.stream.put(execution_line(index, execution))
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End the answer without its last line: what has no line was not judged, and the client may send it again."""
        [*_, place] = traceback.extract_tb(error.__traceback__)
        log_event(
            "batch failed",
            batch=self._number,
            error=f"{type(error).__name__}: {str(error)[:_MAX_ERROR_CHARS]}",
            place=f"{place.filename}:{place.lineno}",
        )
        self.stream.break_off()

    async def lines(
        self, work: AbstractContextManager, start: Callable[[], None], last_line: Callable[[], bytes]
    ) -> AsyncIterator[bytes]:
        """Start the programs and yield their lines; left early, or after an error, what has not begun is dropped."""
        with work:
            if self._num_programs <= _FEW_PROGRAMS:
                start()
            else:
                await asyncio.to_thread(start)
            while (piece := await self.stream.take()) is not None:
                num_lines = 0 if piece == b"\n" else piece.count(b"\n")
                self._num_left -= num_lines
                self._service.num_pending -= num_lines
                yield piece
            if self.stream.is_whole:
                yield last_line()

    def leave(self) -> None:
        """Close the books, whatever became of the response."""
        self._service.num_pending -= self._num_left
        log_event(
            "batch finished" if self._num_left == 0 else "batch ended early",
            batch=self._number,
            num_judged=self._num_programs - self._num_left,
            seconds=round(time.monotonic() - self._started, 3),
            statuses=dict(self._statuses),
        )


class BatchResponse(StreamingResponse):
    """The lines of a batch, which ends with the response."""

    def __init__(self, batch: Batch, lines: AsyncIterator[bytes]):
        super().__init__(lines, media_type="application/x-ndjson")
        self._batch = batch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._batch.leave()


def create_app(executor: LocalExecutor, settings: ServiceSettings, token: str | None) -> FastAPI:
    """Make the app; `app.state.service` is its `Service`."""
    app = FastAPI(title="atomforge executor", version=VERSION, description=__doc__ or "")
    service = app.state.service = Service(executor, settings, token)

    @app.get("/healthz", summary="Whether the service takes work, and what runs the programs")
    async def healthz(request: Request) -> Response:
        if "authorization" in request.headers:
            service.check_token(request)
        status = "draining" if service.is_draining else "ok" if executor.is_open else "failed"
        told = {
            "status": status,
            "description": executor.description,
            "time_factor": executor.time_factor,
            "num_slots": executor.stats().num_slots,
            "hash_seed": settings.hash_seed,
            "max_body_bytes": settings.max_body_bytes,
            "max_waiting_programs": settings.max_waiting_programs,
            "version": VERSION,
        }
        return JSONResponse(told, status_code=200 if status == "ok" else 503)

    @app.get("/metrics", summary="For Prometheus", response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        service.check_token(request)
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.post("/v1/grade", summary="Grade samples against tasks", openapi_extra=GRADE)
    async def grade(request: Request) -> Response:
        service.check_token(request)
        parsed: GradeRequest = await service.parsed(await service.read_body(request), parse_grade_request)
        batch = service.admit(len(parsed.submissions))
        grading = executor.grading(
            parsed.limits, rewards=parsed.rewards, on_result=batch.take_outcome, on_error=batch.fail
        )

        def start() -> None:
            for submission in parsed.submissions:
                grading.add(submission)

        def last_line() -> bytes:
            tasks = [submission.task for submission in parsed.submissions]
            return done_line(summarize_batch(tasks, grading.outcomes(), parsed.ks))

        return BatchResponse(batch, batch.lines(grading, start, last_line))

    @app.post("/v1/run", summary="Run programs without judging them", openapi_extra=RUN)
    async def run(request: Request) -> Response:
        service.check_token(request)
        parsed: RunRequest = await service.parsed(await service.read_body(request), parse_run_request)
        batch = service.admit(len(parsed.runs))
        queue = executor.queue()

        def start() -> None:
            for index, one in enumerate(parsed.runs):
                queue.submit(one, parsed.limits).add_done_callback(partial(batch.take_run, index))

        return BatchResponse(batch, batch.lines(queue, start, done_line))

    @app.exception_handler(Refusal)
    async def refuse(request: Request, refusal: Refusal) -> Response:
        service.metrics.rejects.labels(str(refusal.status)).inc()
        log_event("request refused", path=request.url.path, status=refusal.status, line=str(refusal))
        return JSONResponse({"error": str(refusal)}, status_code=refusal.status, headers=refusal.headers)

    @app.exception_handler(HTTPException)
    async def refuse_otherwise(request: Request, error: HTTPException) -> Response:
        service.metrics.rejects.labels(str(error.status_code)).inc()
        return JSONResponse({"error": str(error.detail)}, status_code=error.status_code, headers=error.headers)

    return app
