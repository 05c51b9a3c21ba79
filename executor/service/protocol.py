"""What service and client say to each other: JSON requests, and answers line by line (NDJSON).

    POST /v1/grade  {"tasks": [row, ...], "samples": [{"task": 0, "completion": "..."}, ...], "limits", "rewards", "ks"}
        -> a line for each sample as it ends, then {"done": true, "report": {...}}
    POST /v1/run    {"runs": [{"source", "entry_point", "calls"}, ...], "limits"}
        -> a line for each program as it ends, then {"done": true}

A stream without its last line was cut off: what has no line was not judged. Empty lines only say that there is life.
Requests are checked here, in one place for both sides; the rows of tasks by `executor.types`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from executor.grading.pass_at_k import PassAtKSummary
from executor.grading.rewards import RewardConfig
from executor.grading.tasks import profile_from, task_from_row
from executor.sandbox.codec import decode_value, parse_json
from executor.types import DEFAULT_LIMITS, CallResult, Execution, Limits, Outcome, Reward, Run, Status, Submission, Task

Settings = TypeVar("Settings", Limits, RewardConfig)
DONE = "done"
TOKEN_VARIABLE = "ATOMFORGE_EXECUTOR_TOKEN"
"""Of the environment of both: the bearer token."""


class MalformedBody(ValueError):
    """The body is no JSON at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeRequest:
    """A batch to grade."""

    submissions: tuple[Submission, ...]
    limits: Limits
    rewards: RewardConfig | None
    ks: tuple[int, ...]

    @property
    def profiles(self) -> set[str]:
        """The kinds of sandbox it needs."""
        return {submission.task.profile for submission in self.submissions}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """Programs to run."""

    runs: tuple[Run, ...]
    limits: Limits

    @property
    def profiles(self) -> set[str]:
        """The kinds of sandbox it needs."""
        return {run.profile for run in self.runs}


def parse_grade_request(body: bytes, default_limits: Limits = DEFAULT_LIMITS) -> GradeRequest:
    """Read the body of /v1/grade.

    Raises:
        ValueError: one line naming what is wrong.
    """
    request = _object(_parsed(body), "the body", allowed=("tasks", "samples", "limits", "rewards", "ks"))
    tasks = []
    for position, row in enumerate(_list(request, "tasks")):
        try:
            tasks.append(task_from_row(_object(row, "a task")))
        except ValueError as error:
            raise ValueError(f"tasks {position}: {error}") from None
    submissions = []
    for position, row in enumerate(_list(request, "samples")):
        try:
            submissions.append(_submission(row, tasks))
        except ValueError as error:
            raise ValueError(f"samples {position}: {error}") from None
    ks = request.get("ks") or []
    if not isinstance(ks, list) or any(type(k) is not int or k < 1 for k in ks):
        raise ValueError("ks must be a list of integers of at least 1")
    rewards = request.get("rewards")
    return GradeRequest(
        submissions=tuple(submissions),
        limits=_settings(request.get("limits"), default_limits, "limits"),
        rewards=None if rewards is None else _settings(rewards, RewardConfig(), "rewards"),
        ks=tuple(ks),
    )


def parse_run_request(body: bytes, default_limits: Limits = DEFAULT_LIMITS) -> RunRequest:
    """Read the body of /v1/run.

    Raises:
        ValueError: one line naming what is wrong.
    """
    request = _object(_parsed(body), "the body", allowed=("runs", "limits"))
    runs = []
    for position, row in enumerate(_list(request, "runs")):
        try:
            runs.append(_run(_object(row, "a run", allowed=("source", "entry_point", "calls", "profile"))))
        except ValueError as error:
            raise ValueError(f"runs {position}: {error}") from None
    return RunRequest(runs=tuple(runs), limits=_settings(request.get("limits"), default_limits, "limits"))


def grade_body(submissions: Sequence[Submission], limits: Limits, rewards: RewardConfig | None) -> bytes:
    """Make the body of /v1/grade; tasks that are one object are sent once."""
    numbers: dict[int, int] = {}
    tasks: list[dict[str, Any]] = []
    samples = []
    for submission in submissions:
        number = numbers.setdefault(id(submission.task), len(tasks))
        if number == len(tasks):
            tasks.append(_task_row(submission.task))
        samples.append({"task": number, "completion": submission.completion})
    request: dict[str, Any] = {"tasks": tasks, "samples": samples, "limits": asdict(limits)}
    if rewards is not None:
        request["rewards"] = asdict(rewards)
    return _encoded(request)


def run_body(runs: Iterable[Run], limits: Limits) -> bytes:
    """Make the body of /v1/run."""
    rows = [
        {"source": run.source, "entry_point": run.entry_point, "calls": run.calls}
        | ({} if run.profile == "cpu" else {"profile": run.profile})
        for run in runs
    ]
    return _encoded({"runs": rows, "limits": asdict(limits)})


def outcome_line(index: int, outcome: Outcome) -> bytes:
    """Make the line of a judged sample."""
    reward = outcome.reward
    return _line(
        {
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
    )


def outcome_of(row: Mapping[str, Any]) -> Outcome:
    """Read what `outcome_line` wrote; KeyError, TypeError or ValueError where it is something else."""
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


def execution_line(index: int, execution: Execution) -> bytes:
    """Make the line of a program that was run."""
    results = [
        {"value": result.value} if result.error is None else {"error": result.error} for result in execution.results
    ]
    return _line(
        {
            "index": index,
            "failure": execution.failure,
            "results": results,
            "duration_s": round(execution.duration_s, 6),
            "queued_s": round(execution.queued_s, 6),
            "detail": execution.detail,
        }
    )


def execution_of_row(row: Mapping[str, Any]) -> Execution:
    """Read what `execution_line` wrote; KeyError, TypeError or ValueError where it is something else."""
    return Execution(
        failure=None if row["failure"] is None else Status(row["failure"]),
        results=tuple(CallResult(value=item.get("value"), error=item.get("error")) for item in row["results"]),
        duration_s=float(row["duration_s"]),
        queued_s=float(row["queued_s"]),
        detail=str(row["detail"]),
    )


def done_line(report: PassAtKSummary | None = None) -> bytes:
    """Make the last line of a stream."""
    return _line({DONE: True} if report is None else {DONE: True, "report": asdict(report)})


def _encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _line(value: Any) -> bytes:
    return _encoded(value) + b"\n"


def _parsed(body: bytes) -> Any:
    try:
        return parse_json(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise MalformedBody("the body is not UTF-8") from None
    except ValueError as error:
        raise MalformedBody(f"the body is not JSON: {error}") from None


def _object(value: Any, what: str, *, allowed: Sequence[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a JSON object, not {type(value).__name__}")
    unknown = [] if allowed is None else [key for key in value if key not in allowed]
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r:.60}; known are {', '.join(allowed or ())}")
    return value


def _list(request: Mapping[str, Any], key: str) -> list:
    value = request.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{key} must be a list" + (", and it is missing" if value is None else ""))
    return value


def _submission(row: Any, tasks: Sequence[Task]) -> Submission:
    sample = _object(row, "a sample", allowed=("task", "completion"))
    number, completion = sample.get("task"), sample.get("completion")
    if type(number) is not int or not 0 <= number < len(tasks):
        raise ValueError(f"task must be the position of one of the {len(tasks)} tasks, not {number!r:.60}")
    if not isinstance(completion, str):
        raise ValueError(f"completion must be a string, not {type(completion).__name__}")
    return Submission(task=tasks[number], completion=completion)


def _run(row: Mapping[str, Any]) -> Run:
    source, entry_point, calls = row.get("source"), row.get("entry_point"), row.get("calls")
    if not isinstance(source, str) or not isinstance(entry_point, str):
        raise ValueError("source and entry_point must be strings")
    if not isinstance(calls, list) or any(not isinstance(args, list) for args in calls):
        raise ValueError("calls must be a list of lists of arguments")
    for args in calls:
        for tagged in args:
            decode_value(tagged)
    return Run(source=source, entry_point=entry_point, calls=tuple(calls), profile=profile_from(row.get("profile")))


def _settings(value: Any, default: Settings, what: str) -> Settings:
    """Fill a record of numbers from a JSON object; what is not named stays as in the default."""
    if value is None:
        return default
    names = [field.name for field in fields(default)]
    given = _object(value, what)
    unknown = [key for key in given if key not in names]
    if unknown:
        raise ValueError(f"{what}: unknown key {unknown[0]!r:.60}; known are {', '.join(names)}")
    for name, number in given.items():
        wanted = int if type(getattr(default, name)) is int else (int, float)
        if isinstance(number, bool) or not isinstance(number, wanted):
            raise ValueError(f"{what}: {name} must be a number{' without a fraction' * (wanted is int)}")
    return type(default)(**{**{name: getattr(default, name) for name in names}, **given})


def _task_row(task: Task) -> dict[str, Any]:
    row: dict[str, Any] = {"task_id": task.task_id, "entry_point": task.entry_point}
    if task.check is not None:
        row["check"] = task.check
    elif task.reference is not None:
        row |= {"reference": task.reference, "inputs": task.inputs}
    else:
        row["tests"] = [{"args": test.args, "expected": test.expected} for test in task.tests]
    profile = None if task.profile == "cpu" else task.profile
    optional = {"prompt": task.prompt, "float_tol": task.float_tol, "group": task.group, "profile": profile}
    return row | {key: value for key, value in optional.items() if value is not None}
