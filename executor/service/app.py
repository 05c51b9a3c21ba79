"""FastAPI application of the executor service: checks the token and the limits, and streams outcomes.

Request bodies are read here and not by FastAPI: size and time are bounded, and large bodies are parsed in a thread. The
OpenAPI document is generated from `executor.service.models` and `responses`. Errors have the body
`{"error": "one line"}`. The executor runs and grades the programs.
"""

import asyncio
import hmac
import math
import time
from dataclasses import fields
from functools import partial
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from executor.api import LocalExecutor
from executor.grading.pass_at_k import summarize_batch
from executor.service.batch import Batch, BatchResponse
from executor.service.metrics import ServiceMetrics, log_event
from executor.service.models import GradeRequest, RequestModel, RunRequest, override
from executor.service.protocol import MalformedBody, encode_done, parse_request
from executor.service.responses import ErrorRow, ExecutionLine, GradeDone, Health, OutcomeLine, RunDone
from executor.service.settings import ServiceConfig
from executor.types import Limits

VERSION = "v1"
_LARGE_BODY_BYTES = 1 << 16
"""Larger bodies are parsed in a thread, so that they do not block other requests."""
_MAX_RETRY_AFTER_S = 30
_REFERENCE = "#/components/schemas/{model}"
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorRow, "description": description}
    for status, description in {
        400: "The body is not JSON.",
        401: "The bearer token is missing or wrong.",
        408: "The body did not arrive in time.",
        413: "The body or the batch is too large.",
        422: "A key or value is wrong; the error names it.",
        429: "The queue is full; retry after Retry-After seconds.",
        503: "The service is shutting down, or its sandboxes have failed.",
    }.items()
}

AnyRequest = TypeVar("AnyRequest", bound=RequestModel)
BatchRequest = TypeVar("BatchRequest", GradeRequest, RunRequest)


class ApiError(Exception):
    """A response with an error status."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.headers = headers


class Service:
    """State shared by all requests of one app."""

    def __init__(self, executor: LocalExecutor, config: ServiceConfig, token: str | None):
        self.executor = executor
        self.config = config
        self.metrics = ServiceMetrics(executor)
        self.num_pending = 0
        """Accepted programs without an outcome."""
        self.num_finished = 0
        self.is_draining = False
        self._token = None if token is None else token.encode("ascii")
        self._num_batches = 0
        self._started_at = time.monotonic()

    def check_token(self, request: Request) -> None:
        """Raise 401 if a token is required and the request does not have it."""
        if self._token is None:
            return
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, b"Bearer " + self._token):
            raise ApiError(401, "the bearer token is missing or wrong", {"WWW-Authenticate": "Bearer"})

    async def read(self, model: type[AnyRequest], request: Request) -> AnyRequest:
        """Read and validate the body of a request.

        Raises:
            ApiError: it is too large, too slow or invalid.
        """
        body = await self._read_body(request)
        try:
            if len(body) > _LARGE_BODY_BYTES:
                return await asyncio.to_thread(parse_request, model, body)
            return parse_request(model, body)
        except ValueError as error:
            raise ApiError(400 if isinstance(error, MalformedBody) else 422, str(error)) from None

    async def parse(self, model: type[BatchRequest], request: Request) -> tuple[BatchRequest, Limits]:
        """Read and validate a batch; returns it and the limits of its programs.

        Raises:
            ApiError: as in `read`, or the request exceeds a limit.
        """
        parsed = await self.read(model, request)
        try:
            limits = override(self.config.limits, parsed.limits)
            for field in fields(Limits):
                value, maximum = getattr(limits, field.name), getattr(self.config.max_limits, field.name)
                if value > maximum:
                    raise ValueError(f"limits: {field.name} must be at most {maximum}, not {value}")
        except ValueError as error:
            raise ApiError(422, str(error)) from None
        await self.open_profiles(parsed.profiles)
        return parsed, limits

    async def open_profiles(self, profiles: set[str]) -> None:
        """Open the pools of the profiles that a request needs.

        Raises:
            ApiError: this machine has no sandbox for one.
        """
        try:
            for profile in profiles - {"cpu"}:
                await asyncio.to_thread(self.executor.open_profile, profile)
        except ValueError as error:
            raise ApiError(422, str(error)) from None

    def accept(self, num_programs: int) -> Batch:
        """Accept a batch.

        Raises:
            ApiError: the service is shutting down, or its queue is full.
        """
        if not self.executor.is_open:
            raise ApiError(503, "the sandboxes of the service have failed; restart the service")
        if self.is_draining:
            raise ApiError(503, "the service is shutting down", {"Retry-After": "5"})
        maximum = self.config.max_waiting_programs
        if num_programs > maximum:
            raise ApiError(413, f"the batch has {num_programs} programs; max_waiting_programs is {maximum}")
        if self.num_pending + num_programs > maximum:
            message = f"the queue is full: {self.num_pending} programs wait, max_waiting_programs is {maximum}"
            raise ApiError(429, message, {"Retry-After": str(self._estimate_retry_after_s(num_programs))})
        self._num_batches += 1
        return Batch(self, self._num_batches, num_programs)

    async def _read_body(self, request: Request) -> bytes:
        limit = self.config.max_body_bytes
        too_large = ApiError(413, f"the body exceeds {limit} bytes; split the batch", {"Connection": "close"})
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > limit:
            raise too_large
        chunks, size = [], 0
        try:
            async with asyncio.timeout(self.config.body_timeout_s):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limit:
                        raise too_large
                    chunks.append(chunk)
        except TimeoutError:
            message = f"the body did not arrive within {self.config.body_timeout_s:g} s"
            raise ApiError(408, message, {"Connection": "close"}) from None
        return b"".join(chunks)

    def _estimate_retry_after_s(self, num_programs: int) -> int:
        rate = max(1.0, self.num_finished / max(1.0, time.monotonic() - self._started_at))
        excess = self.num_pending + num_programs - self.config.max_waiting_programs
        return min(_MAX_RETRY_AFTER_S, max(1, math.ceil(excess / rate)))


def create_app(executor: LocalExecutor, config: ServiceConfig, token: str | None) -> FastAPI:
    """Create the application; `app.state.service` is its `Service`."""
    app = FastAPI(title="atomforge executor", version=VERSION, description="Runs and grades untrusted programs.")
    service = app.state.service = Service(executor, config, token)
    _add_monitoring(app, service)
    _add_batches(app, service)
    _add_error_handlers(app, service)
    _add_schemas(app, GradeRequest, RunRequest, OutcomeLine, GradeDone, ExecutionLine, RunDone)
    return app


def _add_monitoring(app: FastAPI, service: Service) -> None:
    executor, config = service.executor, service.config

    @app.get(
        "/healthz",
        summary="Status and limits of the service",
        response_model=Health,
        responses={503: {"model": Health}},
    )
    async def healthz(request: Request) -> Response:
        if "authorization" in request.headers:
            service.check_token(request)
        health = Health(
            status="draining" if service.is_draining else "ok" if executor.is_open else "failed",
            description=executor.description,
            time_factor=executor.time_factor,
            num_slots=executor.stats().num_slots,
            hash_seed=config.hash_seed,
            max_body_bytes=config.max_body_bytes,
            max_waiting_programs=config.max_waiting_programs,
            version=VERSION,
        )
        return JSONResponse(health.model_dump(), status_code=200 if health.status == "ok" else 503)

    @app.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        service.check_token(request)
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _add_batches(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/grade",
        summary="Grade samples",
        response_class=Response,
        responses=_ERRORS,
        openapi_extra=_describe_bodies(GradeRequest, OutcomeLine, GradeDone),
    )
    async def grade(request: Request) -> Response:
        service.check_token(request)
        parsed, limits = await service.parse(GradeRequest, request)
        batch = service.accept(parsed.num_programs)
        submissions = parsed.build_submissions()
        grading = service.executor.grading(
            limits, rewards=parsed.build_reward_config(), on_result=batch.on_outcome, on_error=batch.on_error
        )

        def start() -> None:
            for submission in submissions:
                grading.add(submission)

        def encode_report() -> bytes:
            return encode_done(summarize_batch([one.task for one in submissions], grading.outcomes(), parsed.ks or ()))

        return BatchResponse(batch, batch.stream(grading, start, encode_report))

    @app.post(
        "/v1/run",
        summary="Run programs without grading them",
        response_class=Response,
        responses=_ERRORS,
        openapi_extra=_describe_bodies(RunRequest, ExecutionLine, RunDone),
    )
    async def run(request: Request) -> Response:
        service.check_token(request)
        parsed, limits = await service.parse(RunRequest, request)
        batch = service.accept(parsed.num_programs)
        queue = service.executor.queue()

        def start() -> None:
            for index, one in enumerate(parsed.build_runs()):
                queue.submit(one, limits).add_done_callback(partial(batch.on_execution, index))

        return BatchResponse(batch, batch.stream(queue, start, encode_done))


def _add_error_handlers(app: FastAPI, service: Service) -> None:
    @app.exception_handler(ApiError)
    async def respond_to_api_error(request: Request, error: ApiError) -> Response:
        service.metrics.rejects.labels(str(error.status)).inc()
        log_event("request rejected", path=request.url.path, status=error.status, error=str(error))
        return JSONResponse({"error": str(error)}, status_code=error.status, headers=error.headers)

    @app.exception_handler(HTTPException)
    async def respond_to_http_exception(request: Request, error: HTTPException) -> Response:
        service.metrics.rejects.labels(str(error.status_code)).inc()
        return JSONResponse({"error": str(error.detail)}, status_code=error.status_code, headers=error.headers)


def _describe_bodies(*models: type[BaseModel]) -> dict[str, Any]:
    """Describe the request body and the streamed lines of a route in OpenAPI, by reference to their schemas."""
    request, *lines = ({"$ref": _REFERENCE.format(model=model.__name__)} for model in models)
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {
            "200": {
                "description": "One JSON object per line; empty lines are heartbeats. "
                "Without the last line, which has `done`, the response was interrupted.",
                "content": {"application/x-ndjson": {"schema": {"anyOf": lines}}},
            }
        },
    }


def _add_schemas(app: FastAPI, *models: type[BaseModel]) -> None:
    """Add the schemas of models to the OpenAPI document of an app."""
    build = app.openapi

    def build_with_schemas() -> dict[str, Any]:
        if app.openapi_schema is None:
            _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
            build()["components"]["schemas"] |= schemas["$defs"]
        return build()

    app.openapi = build_with_schemas
