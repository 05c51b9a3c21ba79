"""The executor's frozen records: programs, limits, what running them gave, tasks and verdicts.

Values in `calls`, `args`, `expected` and `CallResult.value` are tagged (see `executor.values`).
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from executor.limits import DEFAULT_LIMITS as DEFAULT_LIMITS
from executor.limits import Limits as Limits
from executor.values import decode_value, parse_json

MAX_FLOAT = sys.float_info.max
"""An integer beyond it is finite too, and cannot be computed with."""
PROFILES = ("cpu", "torch", "cuda")
"""What a sandbox has: Python alone; torch beside it, on the CPU; torch and a GPU."""


START_UP_S = {"cpu": 0.0, "torch": 0.0, "cuda": 5.0}
"""Seconds a program gets beyond its limits, of CPU and of wall time: a CUDA context takes its own."""


class Status(StrEnum):
    """What became of a program. All but INFRA are facts about the program; INFRA is a fault of ours, and no verdict."""

    PASSED = "passed"
    WRONG = "wrong"
    """Some call returned another value than expected or of a type that tests cannot hold, or changed a tensor."""
    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    CRASH = "crash"
    """The process died of a signal, left early, or wrote results that make no sense."""
    LOAD_ERROR = "load_error"
    """The source does not compile, raises while loading, or does not define the entry point."""
    SOURCE_TOO_LONG = "source_too_long"
    INFRA = "infra"


UNSUPPORTED_TYPE = "UnsupportedType"
"""`CallResult.error` of a call that returned, but a value no test can hold (a generator, a subclass of int, ...)."""
CHANGED_ARGUMENT = "ChangedArgument"
"""`CallResult.error` of a call that changed a tensor it was given; the next call would have seen it."""
OVERSIZED_VALUE = "OversizedValue"
"""`CallResult.error` of a call whose value is over the caps of `executor.values`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A program and the calls to make of it."""

    source: str
    entry_point: str
    calls: tuple[list, ...]
    """Each a list of tagged arguments."""
    profile: str = "cpu"
    """One of `PROFILES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What one call gave: a tagged value, or the name of an exception type."""

    value: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What running a program gave."""

    failure: Status | None
    """None when every call was answered."""
    results: tuple[CallResult, ...]
    """In the order of the calls; fewer than them when the program failed on the way."""
    duration_s: float
    detail: str = ""
    queued_s: float = 0.0
    """From being handed in to being sent to a sandbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """Arguments of one call and the value it must return, all tagged."""

    __test__ = False  # not a pytest class

    args: list
    expected: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a program is graded against: one of `tests`, `check`, or `reference` with `inputs`."""

    task_id: str
    entry_point: str
    tests: tuple[Test, ...] = ()
    check: str | None = None
    """Source that defines `check(candidate)` and asserts, as in HumanEval; runs apart from the candidate."""
    reference: str | None = None
    """Source of a right program; what it returns on `inputs` is expected."""
    inputs: tuple[list, ...] = ()
    """Lists of tagged arguments, for `reference`."""
    prompt: str | None = None
    float_tol: float | None = None
    group: str | None = None
    """Name under which pass@k is averaged (a split, a topic)."""
    profile: str = "cpu"
    """The kind of sandbox its programs need, one of `PROFILES`."""

    @property
    def calls(self) -> tuple[list, ...]:
        """The argument lists a program is called with; none where a check makes the calls."""
        return self.inputs if self.reference is not None else tuple(test.args for test in self.tests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A model's text for a task."""

    task: Task
    completion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """A reward and the weighted parts it is the sum of: `passed, fraction, loads, time`."""

    total: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The verdict on a submission."""

    status: Status
    num_passed: int
    num_tests: int
    """Tests of the task; a check counts as one."""
    duration_s: float
    detail: str = ""
    queued_s: float = 0.0
    reward: Reward | None = None
    """Filled where rewards were asked for; stays None for INFRA, which the loss must leave out."""

    @property
    def passed(self) -> bool:
        return self.status is Status.PASSED


def unrun(detail: str) -> Execution:
    """Make the execution of a program that we failed to run."""
    return Execution(failure=Status.INFRA, results=(), duration_s=0.0, detail=detail)


def unjudged(detail: str, *, num_tests: int) -> Outcome:
    """Make the outcome of a program that was not judged by no fault of its own."""
    return Outcome(status=Status.INFRA, num_passed=0, num_tests=num_tests, duration_s=0.0, detail=detail)


def excess_of(source: str, limits: Limits) -> str | None:
    """Say by how much a source is too long; None where it is not."""
    num_bytes = len(source.encode("utf-8", "surrogatepass"))
    return (
        f"{num_bytes} bytes of source; {limits.source_bytes} are allowed" if num_bytes > limits.source_bytes else None
    )


_KINDS = ("tests", "check", "reference")


def task_from_row(row: Mapping[str, Any]) -> Task:
    """Check a row of a task file, a request or a data set.

    Args:
        row: `task_id`, `entry_point` and one of: `tests`, a list of `{"args": [...], "expected": ...}` or such a list
            as a JSON string; `check` (HumanEval's name `test` is taken too), source that defines `check(candidate)`,
            with `prompt`; `reference`, source of a right program, with `inputs`, a list of argument lists. Optional:
            `prompt`, `float_tol`, `group`, `profile`.

    Raises:
        ValueError: one line naming the key, the value and what would be right.
    """
    row = dict(row)
    if "test" in row and row.get("check") is None:
        row["check"] = row["test"]
    missing = [key for key in ("task_id", "entry_point") if row.get(key) is None]
    kinds = [key for key in _KINDS if row.get(key) is not None]
    if not kinds:
        missing.append("tests")
    if missing:
        raise ValueError(f"a task needs task_id, entry_point and tests; missing: {', '.join(missing)}")
    task_id, entry_point = row["task_id"], row["entry_point"]
    if type(task_id) not in (str, int):
        raise ValueError(f"task_id must be a string or an integer, not {task_id!r:.80}")
    try:
        if len(kinds) > 1:
            raise ValueError(f"it has {' and '.join(kinds)}; one of them decides")
        if not isinstance(entry_point, str) or not entry_point.isidentifier():
            raise ValueError(f"entry_point must be the name of a function, not {entry_point!r:.80}")
        for key in ("prompt", "check", "reference", "group"):
            if row.get(key) is not None and not isinstance(row[key], str):
                raise ValueError(f"{key} must be a string, not {type(row[key]).__name__}")
        tolerance = row.get("float_tol")
        if tolerance is not None and (type(tolerance) not in (int, float) or not 0 <= tolerance <= MAX_FLOAT):
            raise ValueError(f"float_tol must be a finite number of at least 0, not {tolerance!r:.80}")
        profile = profile_from(row.get("profile"))
        if profile != "cpu" and kinds == ["check"]:
            raise ValueError(f"a check runs in the profile cpu only, not in {profile}")
        if profile == "cpu" and _holds_tensors(row):
            raise ValueError("it has tensors among its values: its profile must be torch or cuda, not cpu")
        return Task(
            task_id=str(task_id),
            entry_point=entry_point,
            tests=tests_from_json(row["tests"]) if kinds == ["tests"] else (),
            check=row.get("check"),
            reference=row.get("reference"),
            inputs=_inputs_from_row(row.get("inputs")) if kinds == ["reference"] else (),
            prompt=row.get("prompt"),
            float_tol=tolerance,
            group=row.get("group"),
            profile=profile,
        )
    except ValueError as error:
        raise ValueError(f"task {task_id}: {error}") from None


def profile_from(profile: Any) -> str:
    """Check the name of a profile; None is `cpu`.

    Raises:
        ValueError: there is no such profile.
    """
    if profile is not None and profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, not {profile!r:.40}")
    return profile or "cpu"


def _holds_tensors(row: Mapping[str, Any]) -> bool:
    values = [value for value in (row.get("tests"), row.get("inputs")) if value is not None]
    return any('"$tensor":' in v if isinstance(v, str) else "'$tensor': {" in repr(v) for v in values)


def _inputs_from_row(inputs: Any) -> tuple[list, ...]:
    if not isinstance(inputs, list) or not inputs or not all(isinstance(args, list) for args in inputs):
        raise ValueError("inputs must be a list of at least one list of arguments, beside reference")
    for position, args in enumerate(inputs):
        for tagged in args:
            try:
                decode_value(tagged)
            except ValueError as error:
                raise ValueError(f"inputs {position}: {error}") from None
    return tuple(inputs)


def tests_from_json(tests: Any) -> tuple[Test, ...]:
    """Check the tests of a task, given as a list or as a JSON string.

    Raises:
        ValueError: one line naming the test (counted from 0) and what is wrong with it.
    """
    rows = parse_json(tests) if isinstance(tests, str) else tests
    if not isinstance(rows, list | tuple) or not rows:
        raise ValueError('tests must be a list of at least one {"args": [...], "expected": ...}')
    return tuple(_test_from_row(row, f"test {position}") for position, row in enumerate(rows))


def _test_from_row(row: Any, where: str) -> Test:
    if not isinstance(row, Mapping) or "args" not in row or "expected" not in row:
        raise ValueError(f'{where} must be an object with "args" and "expected"')
    if not isinstance(row["args"], list):
        raise ValueError(f"{where}: args must be a list, not {type(row['args']).__name__}")
    for tagged in (*row["args"], row["expected"]):
        try:
            decode_value(tagged)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return Test(args=row["args"], expected=row["expected"])
