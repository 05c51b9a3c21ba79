"""The executor's frozen records: programs, limits, what running them gave, tasks and verdicts.

Values in `calls`, `args`, `kwargs`, `expected` and `CallResult.value` are tagged (see `executor.sandbox.codec`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    """Of all processes of the program together, where the sandbox can measure them."""
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


Call = list | dict[str, Any]
"""One call of an entry point, in the JSON form that the sandbox reads: a list of tagged arguments, or an object with
`args` and any of `kwargs` (name to tagged argument) and `result` (`args.N`: return argument N after the call)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A program and what to do with it: call its entry point, or run it as a whole on a standard input."""

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
    """What one call gave: a tagged value, or the name of an exception type."""

    value: Any = None
    error: str | None = None
    error_bases: tuple[str, ...] = ()
    """Names of the base classes of an exception that is not a builtin one."""
    error_message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What running a program gave."""

    failure: Status | None
    """None when every call was answered."""
    results: tuple[CallResult, ...]
    """In the order of the calls; fewer than them when the program failed on the way."""
    stdout: bytes | None = None
    """Standard output of a whole program."""
    exit_code: int | None = None
    """Of a whole program that ended by itself; negative: the signal that ended it."""
    duration_s: float
    detail: str = ""
    queued_s: float = 0.0
    """From being handed in to being sent to a sandbox."""


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

    __test__ = False  # not a pytest class

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
    """Source of a right program; what it returns on `inputs` is expected."""
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
    """Source of a program that judges standard output in place of a comparison."""
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
            return tuple(_call(args, {}, self.result) for args in self.inputs)
        return tuple(_call(test.args, test.kwargs, self._result_of_call(test)) for test in self.tests)

    def _result_of_call(self, test: Test) -> str | None:
        return None if test.raises is not None else test.result or self.result


def _call(args: list, kwargs: dict[str, Any], result: str | None) -> Call:
    """Build the smallest form of a call: a plain list where there are only positional arguments."""
    if not kwargs and result is None:
        return args
    return {"args": args} | ({"kwargs": kwargs} if kwargs else {}) | ({"result": result} if result else {})


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
