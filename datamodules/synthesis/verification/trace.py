"""The second look at a composition: under another hash seed, and with what its steps returned.

The trace must agree with the solution's own run (`disagreement`), and no step may be idle: one that could be left out
is a depth that the task only pretends to have (`idle_step`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datamodules.synthesis.composition.render import TRACE, render_trace
from datamodules.synthesis.composition.tree import parameters, shortcuts, steps
from datamodules.synthesis.verification.oracle import Candidate, Observation, Reply, observer_run
from datamodules.synthesis.verification.probes import spell_value
from datamodules.synthesis.verification.reject import is_nearly_constant, is_nearly_equal
from executor.types import Run

NUM_TRACED = 64
"""Probes on which steps are looked at."""


def trace_run(candidate: Candidate) -> Run:
    """Ask for the results on the first `NUM_TRACED` probes again, in detail, and on all inputs."""
    detailed = [[True, *call] for call in candidate.probes.calls[:NUM_TRACED]]
    plain = [[False, *call] for call in candidate.inputs.calls]
    return observer_run(render_trace(candidate.tree), detailed + plain, TRACE, profile=candidate.profile)


def disagreement(candidate: Candidate, observation: Observation, trace: Reply) -> str | None:
    """Say why the reply to `trace_run`, under another hash seed, does not confirm the candidate; None if it does."""
    finals = tuple(answer[0][-1:] if isinstance(answer, list) else answer for answer in trace.answers)
    num_probes = len(candidate.probes.calls)
    outputs = observation.outputs[:num_probes][:NUM_TRACED] + observation.outputs[num_probes:]
    return None if Reply(finals, None).spelled() == outputs else "differs under another hash seed"


def idle_step(candidate: Candidate, trace: Reply) -> str | None:
    """Find a step that does next to nothing.

    Args:
        candidate: a composition that runs.
        trace: the reply to its `trace_run`.

    Returns:
        `step without effect`: it returns what a parameter or an earlier step holds; `constant step`: always the same;
        `step that can be left out`: the composition gives the same without it. None when every step does something.
    """
    num_traced = len(candidate.probes.calls[:NUM_TRACED])
    quiet = [i for i in range(num_traced) if isinstance(trace.answers[i], list)]
    details = [trace.answers[i][0] for i in quiet]
    columns: list[tuple[str, Sequence[Any]]] = [
        (param.type_name, [candidate.probes.calls[i][param.index] for i in quiet])
        for param in parameters(candidate.tree)
    ]
    for number, call in enumerate(steps(candidate.tree), start=1):
        values = [detail[number] for detail in details]
        if any(name == call.atom.return_type and is_nearly_equal(values, column) for name, column in columns):
            return "step without effect"
        if call is not candidate.tree and is_nearly_constant([spell_value(value) for value in values]):
            return "constant step"
        columns.append((call.atom.return_type, values))
    finals = [detail[-1:] for detail in details]
    for number in range(len(shortcuts(candidate.tree))):
        if is_nearly_equal(finals, [detail[0][number] for detail in details]):
            return "step that can be left out"
    return None
