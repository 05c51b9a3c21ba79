"""Models of the responses of the HTTP protocol, for the OpenAPI document.

    POST /v1/grade  GradeRequest -> one OutcomeLine per sample in the order they finish, then GradeDone
    POST /v1/run    RunRequest -> one ExecutionLine per program in the order they finish, then RunDone
    GET /healthz    Health

A response without its last line was interrupted: samples without a line have no outcome. Empty lines are heartbeats.
`executor.service.models` has the requests; `executor.service.protocol` encodes and parses the lines.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from executor.grading.pass_at_k import PassAtKSummary
from executor.types import Status


class ResponseModel(BaseModel):
    """An object of a response."""

    model_config = ConfigDict(extra="forbid")


class RewardRow(ResponseModel):
    """A reward and the weighted parts it is the sum of."""

    total: float
    parts: dict[str, float]


class OutcomeLine(ResponseModel):
    """Outcome of one sample."""

    index: int = Field(description="position in `samples`")
    status: Status
    passed: bool
    num_passed: int
    num_tests: int
    duration_s: float
    queued_s: float
    detail: str
    reward: RewardRow | None = Field(description="null without `rewards`, and for the status infra")


class GradeDone(ResponseModel):
    """Last line of /v1/grade."""

    done: Literal[True]
    report: PassAtKSummary


class ValueRow(ResponseModel):
    """A call that returned a value."""

    value: Any = Field(description="tagged value")


class ErrorRow(ResponseModel):
    """A call without a value; also the body of a response with an error status."""

    error: str


class ExecutionLine(ResponseModel):
    """Results of one program."""

    index: int = Field(description="position in `runs`")
    failure: Status | None
    results: list[ValueRow | ErrorRow] = Field(description="in the order of `calls`; fewer if the program failed")
    stdout: str | None = Field(description="standard output of a program with `stdin`; U+FFFD replaces invalid UTF-8")
    exit_code: int | None = Field(description="of a program with `stdin` that ended by itself; negative: a signal")
    duration_s: float
    queued_s: float
    detail: str


class RunDone(ResponseModel):
    """Last line of /v1/run."""

    done: Literal[True]


class Health(ResponseModel):
    """Response of /healthz."""

    status: Literal["ok", "draining", "failed"]
    description: str = Field(description="what runs the programs")
    time_factor: float = Field(description="factor on time limits, at least 1.0")
    num_slots: int = Field(description="programs that run at the same time")
    hash_seed: int = Field(description="PYTHONHASHSEED of the programs")
    max_body_bytes: int
    max_waiting_programs: int
    version: str
