"""The executor's frozen records: limits, programs and executions, tasks and submissions, outcomes.

Values in `calls`, `args`, `kwargs`, `expected` and `CallResult.value` are tagged (see `executor.sandbox.codec`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

PROFILES = ("cpu", "torch", "cuda")
"""Kinds of sandbox: Python alone, with torch on the CPU, with torch and a GPU."""
START_UP_S = {"cpu": 0.0, "torch": 0.0, "cuda": 5.0}
"""Seconds added to the CPU and wall time of a program, in which it creates its CUDA context."""
MAX_TIME_S = 1e6
MIN_MEMORY_BYTES = 32 << 20
"""Python alone maps about 20 MiB. With 16 MiB, correct programs died of a deep call or a list; with 24 they ran."""
MAX_MEMORY_BYTES = 1 << 40
MAX_TEXT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one program may use for all of its calls together. ValueError for limits that no program could keep."""

    cpu_time_s: float = 2.0
    wall_time_s: float = 6.0
    memory_bytes: int = 256 << 20
    """Of all processes of the program together, if the sandbox can measure them."""
    output_bytes: int = 1 << 20
    """Encoded results of all calls."""
    source_bytes: int = 256 << 10

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

    def scaled(self, time_factor: float, *, extra_s: float = 0.0) -> "Limits":
        """Return limits with both times multiplied by `time_factor`, plus `extra_s` seconds, at most `MAX_TIME_S`."""
        cpu_time_s, wall_time_s = self.cpu_time_s * time_factor + extra_s, self.wall_time_s * time_factor + extra_s
        return replace(self, cpu_time_s=min(cpu_time_s, MAX_TIME_S), wall_time_s=min(wall_time_s, MAX_TIME_S))


DEFAULT_LIMITS = Limits()


class Status(StrEnum):
    """How a program ended. INFRA is a fault of the executor and says nothing about the program."""

    PASSED = "passed"
    WRONG = "wrong"
    """A call returned another value than expected or one of an unsupported type, or changed a tensor."""
    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    CRASH = "crash"
    """The process died of a signal, exited early, or wrote malformed results."""
    LOAD_ERROR = "load_error"
    """The source does not compile, raises while loading, or does not define the entry point."""
    SOURCE_TOO_LONG = "source_too_long"
    INFRA = "infra"


UNSUPPORTED_TYPE = "UnsupportedType"
"""`CallResult.error` of a call that returned a value without a tagged form (a generator, a subclass of int, ...)."""
CHANGED_ARGUMENT = "ChangedArgument"
"""`CallResult.error` of a call that changed a tensor among its arguments."""
OVERSIZED_VALUE = "OversizedValue"
"""`CallResult.error` of a call whose value exceeds the limits of `executor.sandbox.codec`."""

Call = list | dict[str, Any]
"""One call of an entry point, in the JSON form that the sandbox reads: a list of tagged arguments, or an object with
`args` and any of `kwargs` (name to tagged argument) and `result` (`args.N`: return argument N after the call)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A program, and the calls of its entry point or the standard input on which it runs as a whole."""

    source: str
    entry_point: str = ""
    calls: tuple[Call, ...] = ()
    stdin: bytes | None = None
    """Standard input of a whole program; None for a program whose entry point is called."""
    prelude: str = ""
    """Source that runs before the program in the same namespace."""
    argv: tuple[str, ...] = ()
    """Arguments of a whole program."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files in the working directory of a whole program, by name."""
    profile: str = "cpu"
    """One of `PROFILES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """The result of one call: a tagged value, or the name of an exception type."""

    value: Any = None
    error: str | None = None
    error_bases: tuple[str, ...] = ()
    """Names of the base classes of an exception that is not a builtin one."""
    error_message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """The result of running a program."""

    failure: Status | None
    """None if every call returned or raised."""
    results: tuple[CallResult, ...]
    """In the order of the calls; fewer if the program failed before the last one."""
    stdout: bytes | None = None
    """Standard output of a whole program."""
    exit_code: int | None = None
    """Of a whole program that ended by itself; negative: the signal that ended it."""
    duration_s: float
    detail: str = ""
    queued_s: float = 0.0
    """Seconds from submission until it was sent to a sandbox."""


class TestKind(StrEnum):
    """What decides whether a program passes a task."""

    __test__ = False  # not a pytest class
    CALL = "call"
    """A function is called; its results are compared."""
    METHOD = "method"
    """A method is called on a new instance for each test; its results are compared."""
    STDIN = "stdin"
    """The program runs as `__main__` once for each test; its standard output is compared."""
    CHECK = "check"
    """Source with asserts calls the program."""
    REFERENCE = "reference"
    """A correct program computes the expected results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One call and its expected result: a value, or an exception where `raises` is given."""

    __test__ = False
    args: list = field(default_factory=list)
    """Tagged."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Tagged, by parameter name."""
    expected: Any = None
    """Tagged. Has no meaning where `raises` is given."""
    raises: str | None = None
    """Name of the exception class (or of a base class) that the call must raise."""
    result: str | None = None
    """What is compared: `args.N`, argument N after the call, or None for the return value. Overrides `Task.result`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StdinTest:
    """One run of a whole program: its standard input and the expected standard output."""

    stdin: str
    stdout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a program is graded against. Exactly one of `tests`, `stdin_tests`, `check` and `reference` is set."""

    task_id: str
    entry_point: str = ""
    """A function `f` or a method `Solution.f`; empty for stdin tests."""
    tests: tuple[Test, ...] = ()
    stdin_tests: tuple[StdinTest, ...] = ()
    check: str | None = None
    """Source that defines `check(candidate)` and asserts, as in HumanEval; runs apart from the candidate."""
    reference: str | None = None
    """Source of a correct program; its results on `inputs` are expected."""
    inputs: tuple[list, ...] = ()
    """Lists of tagged arguments, for `reference`."""
    prompt: str | None = None
    solution: str | None = None
    """A correct program. Never used for grading."""
    prelude: str | None = None
    """Source that runs before the program in the same namespace, or a name in `grading.tasks.preludes.PRELUDES`."""
    library: Mapping[str, str] | None = None
    """Source by function name. Those that a program names run before it, after the prelude."""
    checker: str | None = None
    """Source of a program that decides whether standard output is correct, in place of a comparison."""
    float_tol: float | None = None
    """Absolute and relative tolerance of numbers, or None for an exact comparison."""
    result: str | None = None
    """`args.N` where argument N after the call is compared in place of the return value (in-place problems)."""
    time_limit_s: float | None = None
    """Time limit of each test in seconds, or None for the limits of the request."""
    memory_mib: int | None = None
    """Memory limit of the whole process tree in MiB, or None for the limits of the request."""
    language: str | None = None
    split: str | None = None
    group: str | None = None
    """Name under which pass@k is averaged (a split, a topic)."""
    profile: str = "cpu"
    """The kind of sandbox its programs need, one of `PROFILES`."""
    metadata: Mapping[str, Any] | None = None

    @property
    def kind(self) -> TestKind:
        if self.check is not None:
            return TestKind.CHECK
        if self.reference is not None:
            return TestKind.REFERENCE
        if self.stdin_tests:
            return TestKind.STDIN
        return TestKind.METHOD if "." in self.entry_point else TestKind.CALL

    @property
    def num_tests(self) -> int:
        """Number of tests; a check counts as one."""
        if self.check is not None:
            return 1
        return len(self.inputs if self.reference is not None else self.stdin_tests or self.tests)

    @property
    def defined_name(self) -> str:
        """The name that the program must define at its top level: the function or the class; empty for stdin tests."""
        return self.entry_point.partition(".")[0]

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls sent to the sandbox, without expected values; empty for checks and stdin tests."""
        if self.reference is not None:
            return tuple(_build_call(args, {}, self.result) for args in self.inputs)
        return tuple(
            _build_call(test.args, test.kwargs, None if test.raises is not None else test.result or self.result)
            for test in self.tests
        )


def _build_call(args: list, kwargs: dict[str, Any], result: str | None) -> Call:
    """Build the smallest form of a call: a plain list where there are only positional arguments."""
    if not kwargs and result is None:
        return args
    return {"args": args} | ({"kwargs": kwargs} if kwargs else {}) | ({"result": result} if result else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A completion for a task."""

    task: Task
    completion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """A reward and the weighted parts it is the sum of: `passed, fraction, loads, time`."""

    total: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of grading a submission."""

    status: Status
    num_passed: int
    num_tests: int
    """Tests of the task; a check counts as one."""
    duration_s: float
    detail: str = ""
    queued_s: float = 0.0
    reward: Reward | None = None
    """None without a `RewardConfig`, and for INFRA, which the loss must leave out."""

    @property
    def passed(self) -> bool:
        return self.status is Status.PASSED


def infra_execution(detail: str) -> Execution:
    """Build the execution of a program that an internal fault kept from running."""
    return Execution(failure=Status.INFRA, results=(), duration_s=0.0, detail=detail)


def infra_outcome(detail: str, *, num_tests: int) -> Outcome:
    """Build the outcome of a program that an internal fault kept from being graded."""
    return Outcome(status=Status.INFRA, num_passed=0, num_tests=num_tests, duration_s=0.0, detail=detail)
