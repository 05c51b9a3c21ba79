"""Reference results: builds the runs of a candidate for the executor and reads its executions.

Results come from the sandbox only; nothing here executes a program itself. The confirming second run is in `rejection`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datamodules.atoms.domains import is_tensor_type
from datamodules.synthesis.composition.render import BATCH_ENTRY_POINT, add_batch_entry_point
from datamodules.synthesis.composition.tree import ENTRY_POINT, Call
from datamodules.synthesis.verification.inputs import Inputs
from datamodules.synthesis.verification.probes import Probes, fingerprint, spell_value
from executor.api import Executor
from executor.types import Execution, Limits, Run, Status

LIMITS = Limits(cpu_time_s=2.0, wall_time_s=60.0)
"""The wall-clock limit is generous: whether a task exists must not depend on the load of the machine."""
MAX_RAISING_PROBES_FRACTION = 0.05
MAX_VALUE_CHARS = 1000


@dataclass(frozen=True)
class Candidate:
    """A composition that may become a task."""

    tree: Call
    solution: str
    skeleton: str
    inputs: Inputs
    probes: Probes

    @property
    def calls(self) -> tuple[list[Any], ...]:
        return self.probes.calls + self.inputs.calls

    @property
    def profile(self) -> str:
        """The sandbox profile it needs."""
        return choose_profile(self.probes.type_names)


@dataclass(frozen=True)
class SolutionOutputs:
    """Results of a solution."""

    spelled: tuple[str, ...]
    """Of all calls, in canonical spelling; `raises NAME` for an exception."""
    expected: tuple[Any, ...]
    """Tagged values for the inputs (tests, then reward tests)."""
    fingerprint: str
    """Of the behaviour on the probes."""


@dataclass(frozen=True)
class BatchResult:
    """Results of a batch run, one per call: `[tagged value]`, or the name of an exception.

    `failure` is None unless the run as a whole failed.
    """

    results: tuple[Any, ...]
    failure: str | None

    def spell(self) -> tuple[str, ...]:
        """Return the results in canonical spelling."""
        return tuple(spell_value(r[0]) if isinstance(r, list) else f"raises {r}" for r in self.results)


def execute(executor: Executor, runs: Sequence[Run]) -> list[Execution]:
    """Run programs; one that meets an infrastructure error is run once more.

    Raises:
        ValueError: the executor failed twice on the same program.
    """
    executions = executor.run(runs, LIMITS)
    failed = [i for i, execution in enumerate(executions) if execution.failure == Status.INFRA]
    for i, execution in zip(failed, executor.run([runs[i] for i in failed], LIMITS) if failed else (), strict=True):
        if execution.failure == Status.INFRA:
            raise ValueError(f"the executor ({executor.description}) failed twice on one program: {execution.detail}")
        executions[i] = execution
    return executions


def choose_profile(type_names: Sequence[str]) -> str:
    """Return the sandbox profile that programs over these types need: `torch` or `cpu`."""
    return "torch" if any(map(is_tensor_type, type_names)) else "cpu"


def build_batch_run(
    source: str, calls: Sequence[list[Any]], function: str = ENTRY_POINT, *, profile: str = "cpu"
) -> Run:
    """Build the run that calls a function of a program with each list of tagged arguments (`read_batch_result`)."""
    source = add_batch_entry_point(source, function)
    return Run(source=source, entry_point=BATCH_ENTRY_POINT, calls=([list(calls)],), profile=profile)


def build_solution_run(candidate: Candidate) -> Run:
    """Build the run of a candidate's solution on its probes and inputs."""
    return build_batch_run(candidate.solution, candidate.calls, profile=candidate.profile)


def read_batch_result(execution: Execution) -> BatchResult:
    """Read the execution of a batch run."""
    if execution.failure is not None:
        return BatchResult((), execution.failure.value)
    [result] = execution.results
    if result.error is not None:
        return BatchResult((), result.error)
    return BatchResult(tuple(result.value), None)


def read_solution_outputs(candidate: Candidate, execution: Execution) -> SolutionOutputs | str:
    """Read the execution of `build_solution_run`, or return the reason why the candidate cannot be a task."""
    batch = read_batch_result(execution)
    if batch.failure is not None:
        return f"does not run ({batch.failure})"
    num_probes = len(candidate.probes.calls)
    on_probes, on_inputs = batch.results[:num_probes], batch.results[num_probes:]
    if any(isinstance(result, str) for result in on_inputs):
        return "raises on its own inputs"
    if sum(isinstance(result, str) for result in on_probes) > MAX_RAISING_PROBES_FRACTION * num_probes:
        return "raises on probes"
    spelled = batch.spell()
    if any(len(output) > MAX_VALUE_CHARS for output in spelled[num_probes:]):
        return "output too large"
    expected = tuple(result[0] for result in on_inputs)
    return SolutionOutputs(spelled, expected, fingerprint(candidate.probes, spelled[:num_probes]))


def fingerprint_execution(probes: Probes, execution: Execution) -> str:
    """Fingerprint a batch run on the probes; programs that fail as a whole are equal if they fail alike."""
    batch = read_batch_result(execution)
    if batch.failure is not None:
        return f"{','.join(sorted(probes.type_names))}#{batch.failure}"
    return fingerprint(probes, batch.spell())
