"""The executor's frozen records: programs, limits, what running them gave, tasks and verdicts.

Values in `calls`, `args`, `expected` and `CallResult.value` are tagged (see `executor.sandbox.codec`).
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

PROFILES = ("cpu", "torch", "cuda")
"""What a sandbox has: Python alone; torch beside it, on the CPU; torch and a GPU."""


START_UP_S = {"cpu": 0.0, "torch": 0.0, "cuda": 5.0}
"""Seconds a program gets beyond its limits, of CPU and of wall time: a CUDA context takes its own."""


MAX_TIME_S = 1e6
MIN_MEMORY_BYTES = 32 << 20
"""Python alone maps some 20 MiB. With 16 MiB right programs died of a deep call or a list; with 24 they ran."""
MAX_MEMORY_BYTES = 1 << 40
MAX_TEXT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one program may use, all of its calls together.

    Limits that no right program could keep, or no kernel, are refused here: they would make every verdict a failure.
    """

    cpu_time_s: float = 2.0
    wall_time_s: float = 6.0
    memory_bytes: int = 256 << 20
    """Address space of each process."""
    output_bytes: int = 1 << 20
    """Encoded results of all calls."""
    source_bytes: int = 64 << 10

    def __post_init__(self) -> None:
        for name in ("cpu_time_s", "wall_time_s"):
            value = getattr(self, name)
            if type(value) is bool or not isinstance(value, int | float) or not 0 < value <= MAX_TIME_S:
                raise ValueError(
                    f"limits: {name} must be above 0 and at most {MAX_TIME_S:.0f} seconds, not {value!r:.40}"
                )
        for name, least, most in (
            ("memory_bytes", MIN_MEMORY_BYTES, MAX_MEMORY_BYTES),
            ("output_bytes", 1, MAX_TEXT_BYTES),
            ("source_bytes", 1, MAX_TEXT_BYTES),
        ):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"limits: {name} must be an integer from {least} to {most}, not {value!r:.40}")

    def scaled(self, time_factor: float) -> "Limits":
        """Return limits whose times are multiplied by `time_factor`."""
        return self._timed(self.cpu_time_s * time_factor, self.wall_time_s * time_factor)

    def extended_by(self, seconds: float) -> "Limits":
        """Return limits with `seconds` more CPU and wall time."""
        return self._timed(self.cpu_time_s + seconds, self.wall_time_s + seconds)

    def _timed(self, cpu_time_s: float, wall_time_s: float) -> "Limits":
        return replace(self, cpu_time_s=min(cpu_time_s, MAX_TIME_S), wall_time_s=min(wall_time_s, MAX_TIME_S))


DEFAULT_LIMITS = Limits()


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
"""`CallResult.error` of a call whose value is over the caps of `executor.sandbox.codec`."""


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


def infra_execution(detail: str) -> Execution:
    """Build the execution of a program that could not be run for a reason that is not its own."""
    return Execution(failure=Status.INFRA, results=(), duration_s=0.0, detail=detail)


def infra_outcome(detail: str, *, num_tests: int) -> Outcome:
    """Build the outcome of a program that could not be graded for a reason that is not its own."""
    return Outcome(status=Status.INFRA, num_passed=0, num_tests=num_tests, duration_s=0.0, detail=detail)


def check_source_size(source: str, limits: Limits) -> str | None:
    """Describe by how much a source exceeds its limit; None if it does not."""
    num_bytes = len(source.encode("utf-8", "surrogatepass"))
    if num_bytes <= limits.source_bytes:
        return None
    return f"{num_bytes} bytes of source; {limits.source_bytes} are allowed"
