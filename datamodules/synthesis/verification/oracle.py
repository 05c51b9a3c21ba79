"""What programs really return: runs for the executor, and what is read from their executions.

The oracle never runs a program itself. A first run, of the solution, gives what it returns on the probes and on the
task's inputs; the second one, which must agree, is the business of `trace`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datamodules.atoms.domains import is_tensor_type
from datamodules.synthesis.composition.render import OBSERVE, with_observer
from datamodules.synthesis.composition.tree import ENTRY_POINT, Call, parameters
from datamodules.synthesis.verification.inputs import Inputs
from datamodules.synthesis.verification.probes import Probes, fingerprint, spell_value
from datamodules.synthesis.verification.reject import (
    MAX_RAISING_PROBES_SHARE,
    is_nearly_constant,
    is_nearly_equal,
    is_too_large,
    lacks_influence,
)
from executor.api import Executor
from executor.types import Execution, Limits, Run, Status

LIMITS = Limits(cpu_time_s=2.0, wall_time_s=60.0)
"""The wall clock is generous on purpose: whether a task exists must not depend on how busy the machine is."""


@dataclass(frozen=True)
class Candidate:
    """A composition about to be run."""

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
        """The kind of sandbox it needs."""
        return profile_of(self.probes.type_names)


@dataclass(frozen=True)
class Observation:
    """What a solution returned."""

    outputs: tuple[str, ...]
    """Over all calls, spelled canonically; an exception is spelled `raises NAME`."""
    expected: tuple[Any, ...]
    """Tagged values over the inputs (tests, then reward tests)."""
    fingerprint: str


def execute(executor: Executor, runs: Sequence[Run]) -> list[Execution]:
    """Run programs; an infrastructure fault is tried once more.

    Raises:
        ValueError: the executor failed twice on the same program.
    """
    executions = executor.run(runs, LIMITS)
    again = [i for i, execution in enumerate(executions) if execution.failure == Status.INFRA]
    for i, execution in zip(again, executor.run([runs[i] for i in again], LIMITS) if again else (), strict=True):
        if execution.failure == Status.INFRA:
            raise ValueError(f"the executor ({executor.description}) failed twice on one program: {execution.detail}")
        executions[i] = execution
    return executions


def profile_of(type_names: Sequence[str]) -> str:
    """Name the kind of sandbox that programs over these types need."""
    return "torch" if any(map(is_tensor_type, type_names)) else "cpu"


def observer_run(source: str, calls: Sequence[list[Any]], function: str = ENTRY_POINT, *, profile: str = "cpu") -> Run:
    """Ask for what a function of the program gives on many calls, all in one answer (`Reply`)."""
    return Run(source=with_observer(source, function), entry_point=OBSERVE, calls=([list(calls)],), profile=profile)


def solution_run(candidate: Candidate) -> Run:
    """Ask what the solution returns on the probes and the inputs."""
    return observer_run(candidate.solution, candidate.calls, profile=candidate.profile)


@dataclass(frozen=True)
class Reply:
    """The answers to the calls of an `observer_run`: each `[tagged value]`, or the name of an exception.

    `failure` is None when there are any.
    """

    answers: tuple[Any, ...]
    failure: str | None

    def spelled(self) -> tuple[str, ...]:
        return tuple(spell_value(a[0]) if isinstance(a, list) else f"raises {a}" for a in self.answers)


def read_reply(execution: Execution) -> Reply:
    """Read the execution of an `observer_run`."""
    if execution.failure is not None:
        return Reply((), execution.failure.value)
    [result] = execution.results
    if result.error is not None:
        return Reply((), result.error)
    return Reply(tuple(result.value), None)


def observe(candidate: Candidate, execution: Execution) -> Observation | str:
    """Read the execution of `solution_run`, or say in a few words why the candidate cannot be a task."""
    reply = read_reply(execution)
    if reply.failure is not None:
        return f"does not run ({reply.failure})"
    num_probes = len(candidate.probes.calls)
    on_probes, on_inputs = reply.answers[:num_probes], reply.answers[num_probes:]
    if any(isinstance(answer, str) for answer in on_inputs):
        return "raises on its own inputs"
    if sum(isinstance(answer, str) for answer in on_probes) > MAX_RAISING_PROBES_SHARE * num_probes:
        return "raises on probes"
    outputs = reply.spelled()
    if is_too_large(outputs[num_probes:]):
        return "output too large"
    expected = tuple(answer[0] for answer in on_inputs)
    return Observation(outputs, expected, fingerprint(candidate.probes, outputs[:num_probes]))


def degeneracy(candidate: Candidate, observation: Observation) -> str | None:
    """Say in a few words why a solution that runs is still no task worth having; None when it may be one."""
    probes = candidate.probes
    probe_outputs, test_outputs = observation.outputs[: len(probes.calls)], observation.outputs[len(probes.calls) :]
    if is_nearly_constant(probe_outputs) or is_nearly_constant(test_outputs):
        return "constant"
    if any(lacks_influence(probe_outputs, pairs) for pairs in probes.pairs):
        return "parameter without influence"
    for param in parameters(candidate.tree):
        if param.type_name == candidate.tree.atom.return_type:
            arguments = [spell_value(call[param.index]) for call in probes.calls]
            if is_nearly_equal(probe_outputs, arguments):
                return "identity"
    return None


def behaviour(probes: Probes, execution: Execution) -> str:
    """Fingerprint an `observer_run` on the probes; programs that do not run are alike by failure."""
    reply = read_reply(execution)
    if reply.failure is not None:
        return f"{','.join(sorted(probes.type_names))}#{reply.failure}"
    return fingerprint(probes, reply.spelled())
