"""Parsing and encoding of what service and client exchange: JSON requests, and responses line by line (NDJSON).

`executor.service.models` and `responses` have their models. Requests are validated with them. Lines are encoded and
parsed without them, since pydantic cannot encode lone surrogates; a test compares the two.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from pydantic import ValidationError

from executor.grading.pass_at_k import PassAtKSummary
from executor.grading.rewards import RewardConfig
from executor.grading.tasks import task_to_row
from executor.service.models import LimitsRow, ProgramRow, RequestModel, RewardsRow, Sample
from executor.strict_json import parse_finite, reject_constant
from executor.types import CallResult, Execution, Limits, Outcome, Reward, Run, Status, Submission, Task

_UNUSED_KEYS = ("solution", "language", "split", "metadata")
DONE = "done"
"""Key that only the last line of a response has."""

Request = TypeVar("Request", bound=RequestModel)


class MalformedBody(ValueError):
    """The body is not JSON."""


def parse_request(model: type[Request], body: bytes) -> Request:
    """Parse and validate the body of a request.

    Raises:
        MalformedBody: the body is not JSON.
        ValueError: a key or value is wrong.
    """
    try:
        content = _DECODER.decode(body.decode("utf-8"))
    except _DuplicateKey as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise MalformedBody("the body is not JSON: it is nested too deeply") from None
    except UnicodeDecodeError:
        raise MalformedBody("the body is not UTF-8") from None
    except ValueError as error:
        raise MalformedBody(f"the body is not JSON: {error}") from None
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ValueError(_describe_error(error, model)) from None


def encode_grade_request(submissions: Sequence[Submission], limits: Limits, rewards: RewardConfig | None) -> bytes:
    """Encode the body of /v1/grade. Submissions that share a `Task` object share its row."""
    positions: dict[int, int] = {}
    tasks: list[dict[str, Any]] = []
    samples = []
    for submission in submissions:
        position = positions.setdefault(id(submission.task), len(tasks))
        if position == len(tasks):
            tasks.append(_encode_task(submission.task))
        samples.append({"task": position, "completion": submission.completion})
    request: dict[str, Any] = {"tasks": tasks, "samples": samples, "limits": asdict(limits)}
    if rewards is not None:
        request["rewards"] = asdict(rewards)
    return encode_json(request)


def encode_run_request(runs: Iterable[Run], limits: Limits) -> bytes:
    """Encode the body of /v1/run.

    Raises:
        ValueError: a run has what a request cannot hold: `prelude`, `argv`, `files`, or a `stdin` that is not UTF-8.
    """
    return encode_json({"runs": [_encode_run(run) for run in runs], "limits": asdict(limits)})


def _encode_run(run: Run) -> dict[str, Any]:
    for name in ("prelude", "argv", "files"):
        if getattr(run, name):
            raise ValueError(f"{name} of a run cannot be sent to a service")
    row: dict[str, Any] = {"source": run.source} | ({} if run.profile == "cpu" else {"profile": run.profile})
    if run.stdin is None:
        return row | {"entry_point": run.entry_point, "calls": run.calls}
    try:
        return row | {"stdin": run.stdin.decode("utf-8")}
    except UnicodeDecodeError:
        raise ValueError("stdin of a run must be UTF-8 to be sent to a service") from None


def _encode_task(task: Task) -> dict[str, Any]:
    """Return the row of a task without what grading does not use."""
    return {key: value for key, value in task_to_row(task).items() if key not in _UNUSED_KEYS}


def encode_json(value: Any) -> bytes:
    """Encode a value as ASCII JSON without spaces. Lone surrogates survive; NaN and infinity are ValueErrors."""
    return _ENCODER.encode(value).encode("ascii")


def encode_outcome(index: int, outcome: Outcome) -> bytes:
    """Encode the line of a graded sample."""
    reward = outcome.reward
    row = {
        "index": index,
        "status": outcome.status.value,
        "passed": outcome.passed,
        "num_passed": outcome.num_passed,
        "num_tests": outcome.num_tests,
        "duration_s": round(outcome.duration_s, 6),
        "queued_s": round(outcome.queued_s, 6),
        "detail": outcome.detail,
        "reward": None if reward is None else {"total": reward.total, "parts": reward.parts},
    }
    return encode_json(row) + b"\n"


def encode_execution(index: int, execution: Execution) -> bytes:
    """Encode the line of a program that was run."""
    stdout = execution.stdout
    row = {
        "index": index,
        "failure": execution.failure,
        "results": [
            {"value": result.value} if result.error is None else {"error": result.error} for result in execution.results
        ],
        "stdout": None if stdout is None else stdout.decode("utf-8", "replace"),
        "exit_code": execution.exit_code,
        "duration_s": round(execution.duration_s, 6),
        "queued_s": round(execution.queued_s, 6),
        "detail": execution.detail,
    }
    return encode_json(row) + b"\n"


def encode_done(report: PassAtKSummary | None = None) -> bytes:
    """Encode the last line of a stream."""
    return encode_json({DONE: True} if report is None else {DONE: True, "report": asdict(report)}) + b"\n"


def parse_outcome(row: Mapping[str, Any]) -> Outcome:
    """Build an outcome from its line; KeyError, TypeError or ValueError if the line is invalid."""
    reward = row["reward"]
    return Outcome(
        status=Status(row["status"]),
        num_passed=int(row["num_passed"]),
        num_tests=int(row["num_tests"]),
        duration_s=float(row["duration_s"]),
        queued_s=float(row["queued_s"]),
        detail=str(row["detail"]),
        reward=None if reward is None else Reward(total=float(reward["total"]), parts=dict(reward["parts"])),
    )


def parse_execution(row: Mapping[str, Any]) -> Execution:
    """Build an execution from its line; KeyError, TypeError or ValueError if the line is invalid."""
    stdout, exit_code = row.get("stdout"), row.get("exit_code")
    return Execution(
        failure=None if row["failure"] is None else Status(row["failure"]),
        results=tuple(CallResult(value=item.get("value"), error=item.get("error")) for item in row["results"]),
        stdout=None if stdout is None else str(stdout).encode("utf-8"),
        exit_code=None if exit_code is None else int(exit_code),
        duration_s=float(row["duration_s"]),
        queued_s=float(row["queued_s"]),
        detail=str(row["detail"]),
    )


class _DuplicateKey(ValueError):
    """An object has a key twice."""


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _DuplicateKey(f"duplicate key {next(key for key in keys if keys.count(key) > 1)!r:.60}")
    return built


_DECODER = json.JSONDecoder(object_pairs_hook=_build_object, parse_constant=reject_constant, parse_float=parse_finite)
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_ITEMS: dict[str | int, type[RequestModel]] = {
    "samples": Sample, "runs": ProgramRow, "limits": LimitsRow, "rewards": RewardsRow
}  # fmt: skip
_NAMES = {
    "model_type": "a JSON object", "list_type": "a list", "string_type": "a string", "int_type": "an integer",
    "float_type": "a number",
}  # fmt: skip


def _describe_error(error: ValidationError, model: type[RequestModel]) -> str:
    """Describe the first error in one line: path, key, value and what would be right."""
    first = error.errors(include_url=False)[0]
    path, kind, context = first["loc"], first["type"], first.get("ctx", {})
    if kind == "extra_forbidden":
        message = (_ITEMS[path[0]] if len(path) > 1 else model).describe_unknown_key(str([*path][-1]))
        return ": ".join(filter(None, [_join(path[:-1]), message]))
    where = _join(path)
    if kind == "value_error":
        return ": ".join(filter(None, [where, str(context["error"])]))
    if kind == "missing":
        return f"{where} is missing"
    wanted = {"greater_than_equal": f"at least {context.get('ge')}", "literal_error": context.get("expected")} | _NAMES
    return f"{where or 'the body'} must be {wanted.get(kind, first['msg'])}, not {_show(first['input'])}"


def _join(path: Sequence[str | int]) -> str:
    """Format a path: ("samples", 3, "completion") is `samples 3: completion`."""
    text = "".join(f" {part}" if isinstance(part, int) else f": {part}" for part in path)
    return text.removeprefix(": ")


def _show(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return f"{_ENCODER.encode(value):.60}"
