"""The executor's frozen records: programs, limits, what running them gave, tasks and verdicts.

Values in `calls`, `args`, `expected` and `CallResult.value` are tagged (see `executor.values`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from executor.values import decode_value, parse_json


class Status(StrEnum):
    """What became of a program. All but INFRA are facts about the program; INFRA is a fault of ours, and no verdict."""

    PASSED = "passed"
    WRONG = "wrong"
    """Some call returned another value than expected, or a value of a type that tests cannot hold."""
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
OVERSIZED_VALUE = "OversizedValue"
"""`CallResult.error` of a call whose value is over the caps of `executor.values`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one program may use, all of its calls together."""

    cpu_time_s: float = 2.0
    wall_time_s: float = 6.0
    memory_bytes: int = 256 << 20
    """Address space of each process."""
    output_bytes: int = 1 << 20
    """Encoded results of all calls."""
    source_bytes: int = 64 << 10

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"limits: {name} must be above 0, not {getattr(self, name)}")


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A program and the calls to make of it."""

    source: str
    entry_point: str
    calls: tuple[list, ...]
    """Each a list of tagged arguments."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """Arguments of one call and the value it must return, all tagged."""

    __test__ = False  # not a pytest class

    args: list
    expected: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a program is graded against."""

    task_id: str
    entry_point: str
    tests: tuple[Test, ...]
    prompt: str | None = None
    float_tol: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A model's text for a task."""

    task: Task
    completion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The verdict on a submission."""

    status: Status
    num_passed: int
    num_tests: int
    duration_s: float
    detail: str = ""

    @property
    def passed(self) -> bool:
        return self.status is Status.PASSED


def task_from_row(row: Mapping[str, Any]) -> Task:
    """Check a row of a task file or data set (`task_id, entry_point, tests`, optional `prompt, float_tol`).

    Args:
        row: `tests` is a list of `{"args": [...], "expected": ...}`, or such a list as a JSON string.

    Raises:
        ValueError: one line naming the key, the value and what would be right.
    """
    missing = [key for key in ("task_id", "entry_point", "tests") if row.get(key) is None]
    if missing:
        raise ValueError(f"a task needs task_id, entry_point and tests; missing: {', '.join(missing)}")
    task_id, entry_point, tests, prompt = row["task_id"], row["entry_point"], row["tests"], row.get("prompt")
    if type(task_id) not in (str, int):
        raise ValueError(f"task_id must be a string or an integer, not {task_id!r:.80}")
    if not isinstance(entry_point, str) or not entry_point.isidentifier():
        raise ValueError(f"task {task_id}: entry_point must be the name of a function, not {entry_point!r:.80}")
    if prompt is not None and not isinstance(prompt, str):
        raise ValueError(f"task {task_id}: prompt must be a string, not {type(prompt).__name__}")
    tolerance = row.get("float_tol")
    if tolerance is not None and (type(tolerance) not in (int, float) or not 0 <= tolerance < float("inf")):
        raise ValueError(f"task {task_id}: float_tol must be a finite number of at least 0, not {tolerance!r:.80}")
    try:
        parsed = tests_from_json(tests)
    except ValueError as error:
        raise ValueError(f"task {task_id}: {error}") from None
    return Task(task_id=str(task_id), entry_point=entry_point, tests=parsed, prompt=prompt, float_tol=tolerance)


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
