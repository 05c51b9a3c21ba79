"""Models of the requests of the HTTP protocol; with those of `responses` the OpenAPI document is generated from them.

They reject unknown keys and convert no types. Task rows are validated by `executor.grading.tasks`; `TaskRow` documents
them and lists the keys they may have.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, PlainValidator, model_validator
from pydantic_core import PydanticKnownError

from executor.grading.rewards import RewardConfig
from executor.grading.tasks import parse_task
from executor.sandbox.codec import decode_value
from executor.types import Limits, Run, Submission, Task

Settings = TypeVar("Settings", Limits, RewardConfig)


class RequestModel(BaseModel):
    """An object of a request: types are not converted, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @classmethod
    def describe_unknown_key(cls, key: str) -> str:
        return f"unknown key {key!r:.60}; known keys: {', '.join(cls.model_fields)}"


class TestRow(RequestModel):
    """A call and the value it must return or the exception it must raise, or a run and its expected output."""

    __test__ = False  # not a pytest class

    args: list[Any] | None = Field(None, description="tagged values")
    kwargs: dict[str, Any] | None = Field(None, description="tagged values by parameter name")
    expected: Any = Field(None, description="tagged value")
    raises: str | None = Field(None, description="name of an exception class, in place of `expected`")
    result: str | None = Field(None, description="`args.N`: argument N after the call is compared")
    stdin: str | None = Field(None, description="standard input of a program that runs as `__main__`")
    stdout: str | None = Field(None, description="its expected standard output")


class TaskRow(RequestModel):
    """A task has `tests`, or `check`, or `reference` with `inputs`; see `docs/own_data.md`."""

    task_id: str | int
    entry_point: str | None = Field(None, description="function, or method as `Solution.f`; null for stdin tests")
    tests: list[TestRow] | str | None = Field(None, description="the list itself, or the list as a JSON string")
    check: str | None = Field(None, description="source that defines check(candidate), as in HumanEval")
    test: str | None = Field(None, description="another name of `check`")
    reference: str | None = Field(None, description="source of a correct program; its results are expected")
    inputs: list[list[Any]] | None = Field(None, description="argument lists for `reference`")
    prompt: str | None = Field(None, description="code that a completion continues")
    prelude: str | None = Field(None, description="source before the program, or the name of a prelude")
    library: dict[str, str] | None = Field(None, description="functions that programs may call: name to source")
    checker: str | None = Field(None, description="source of a program that decides whether standard output is correct")
    float_tol: float | None = Field(None, ge=0, description="tolerance for comparing floats")
    result: str | None = Field(None, description="`args.N`: argument N after each call is compared")
    time_limit_s: float | None = Field(None, description="seconds for each test")
    memory_mib: int | None = Field(None, description="of all processes of a program")
    group: str | None = Field(None, description="pass@k is averaged over the tasks of a group")
    profile: Literal["cpu", "torch", "cuda"] | None = Field(None, description="kind of sandbox; null means cpu")
    solution: str | None = Field(None, description="not used")
    canonical_solution: str | None = Field(None, description="another name of `solution`")
    language: str | None = Field(None, description="not used")
    split: str | None = Field(None, description="not used")
    metadata: dict[str, Any] | None = Field(None, description="not used")


class Sample(RequestModel):
    """A completion for a task."""

    task: int = Field(ge=0, description="position in `tasks`")
    completion: str = Field(description="model output; the program is extracted from it")


class ProgramRow(RequestModel):
    """A program, and the calls to make of its entry point or the standard input on which it runs as a whole."""

    source: str
    entry_point: str | None = Field(None, description="function to call; needs `calls`")
    calls: list[list[Any]] | None = Field(None, description="argument lists of tagged values")
    stdin: str | None = Field(
        None, description="standard input of a program that runs as `__main__`, in place of `entry_point` and `calls`"
    )
    profile: Literal["cpu", "torch", "cuda"] | None = Field(None, description="kind of sandbox; null means cpu")

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        for name in ("entry_point", "calls"):
            is_given = getattr(self, name) is not None
            if is_given == (self.stdin is not None):
                raise ValueError(
                    f"a program has either entry_point and calls, or stdin; {name} "
                    + ("and stdin are both given" if is_given else "is missing")
                )
        for args in self.calls or ():
            for tagged in args:
                decode_value(tagged)
        if self.stdin is not None:
            encode_stdin(self.stdin)
        return self

    def build_run(self) -> Run:
        """Return the program."""
        return Run(
            source=self.source,
            entry_point=self.entry_point or "",
            calls=tuple(self.calls or ()),
            stdin=None if self.stdin is None else encode_stdin(self.stdin),
            profile=self.profile or "cpu",
        )


class LimitsRow(RequestModel):
    """Limits of each program. Times are for the reference machine; the service multiplies them by its time_factor."""

    cpu_time_s: float | None = Field(None, description="CPU seconds of all processes of a program")
    wall_time_s: float | None = Field(None, description="seconds of wall-clock time")
    memory_bytes: int | None = Field(None, description="address space of each process")
    output_bytes: int | None = Field(None, description="encoded results of all calls")
    source_bytes: int | None = Field(None, description="source text in UTF-8")


class RewardsRow(RequestModel):
    """Weights of the parts of a reward."""

    passed_coef: float | None = Field(None, description="for passing all tests")
    fraction_coef: float | None = Field(None, description="times the fraction of passed tests")
    loads_coef: float | None = Field(None, description="for source that loads and defines the entry point")
    time_coef: float | None = Field(None, description="subtracted per second of a passing program")


def _parse_task(row: Any) -> Task:
    if not isinstance(row, dict):
        raise PydanticKnownError("model_type", {"class_name": TaskRow.__name__})
    unknown = [key for key in row if key not in TaskRow.model_fields]
    if unknown:
        raise ValueError(TaskRow.describe_unknown_key(unknown[0]))
    return parse_task(row)


class GradeRequest(RequestModel):
    """Body of /v1/grade."""

    tasks: Annotated[list[Annotated[Task, PlainValidator(_parse_task, json_schema_input_type=TaskRow)]], FailFast()]
    samples: Annotated[list[Sample], FailFast()]
    limits: LimitsRow | None = None
    rewards: RewardsRow | None = Field(None, description="without it the reward of each sample is null")
    ks: list[Annotated[int, Field(ge=1)]] | None = Field(None, description="values of k for pass@k in the report")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for position, sample in enumerate(self.samples):
            if sample.task >= len(self.tasks):
                raise ValueError(
                    f"samples {position}: task must be below {len(self.tasks)}, the number of tasks, not {sample.task}"
                )
        self.build_reward_config()
        return self

    @property
    def num_programs(self) -> int:
        return len(self.samples)

    @property
    def profiles(self) -> set[str]:
        """Kinds of sandbox that the batch needs."""
        return {self.tasks[sample.task].profile for sample in self.samples}

    def build_submissions(self) -> list[Submission]:
        """Return the samples with their tasks, in order."""
        return [Submission(task=self.tasks[sample.task], completion=sample.completion) for sample in self.samples]

    def build_reward_config(self) -> RewardConfig | None:
        """Return the reward weights; None if the request sets no rewards."""
        return None if self.rewards is None else override(RewardConfig(), self.rewards)


class RunRequest(RequestModel):
    """Body of /v1/run."""

    runs: Annotated[list[ProgramRow], FailFast()]
    limits: LimitsRow | None = None

    @property
    def num_programs(self) -> int:
        return len(self.runs)

    @property
    def profiles(self) -> set[str]:
        """Kinds of sandbox that the batch needs."""
        return {row.profile or "cpu" for row in self.runs}

    def build_runs(self) -> list[Run]:
        """Return the programs, in order."""
        return [row.build_run() for row in self.runs]


def encode_stdin(text: str) -> bytes:
    """Encode the standard input of a program.

    Raises:
        ValueError: it has half of a surrogate pair.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("stdin must be text that UTF-8 can encode; it has half of a surrogate pair") from None


def override(defaults: Settings, row: LimitsRow | RewardsRow | None) -> Settings:
    """Return a copy of `defaults` with the values that a request sets.

    Raises:
        ValueError: a value is out of range.
    """
    return defaults if row is None else replace(defaults, **row.model_dump(exclude_none=True))
