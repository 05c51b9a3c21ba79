"""Reasons to reject a candidate that runs: degenerate results, unused steps, dependence on the hash seed.

Exactly constant or identical results are not the only degenerate ones: a step that matters on one input in a hundred
teaches nothing and is not covered by the task's tests, so every predicate has a threshold. Duplicates of atoms and of
other items are found by their fingerprints (`dataset.generate`), not here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from datamodules.synthesis.composition.render import TRACE, render_trace
from datamodules.synthesis.composition.tree import parameters, shortcuts, steps
from datamodules.synthesis.verification.oracle import BatchResult, Candidate, SolutionOutputs, build_batch_run
from datamodules.synthesis.verification.probes import spell_value
from executor.types import Run

MAX_COMMON_OUTPUT_FRACTION = 0.8
MIN_EQUAL_FRACTION = 0.95
MIN_INFLUENCE_FRACTION = 0.05
NUM_TRACED = 64
"""Probes for which intermediate results are compared."""


def find_degeneracy(candidate: Candidate, outputs: SolutionOutputs) -> str | None:
    """Return why the results of a solution make no useful task, or None."""
    probes = candidate.probes
    on_probes, on_inputs = outputs.spelled[: len(probes.calls)], outputs.spelled[len(probes.calls) :]
    if is_nearly_constant(on_probes) or is_nearly_constant(on_inputs):
        return "constant"
    if any(has_dead_argument(on_probes, pairs) for pairs in probes.pairs):
        return "parameter without influence"
    for param in parameters(candidate.tree):
        if param.type_name == candidate.tree.atom.return_type:
            arguments = [spell_value(call[param.index]) for call in probes.calls]
            if is_nearly_equal(on_probes, arguments):
                return "identity"
    return None


def build_trace_run(candidate: Candidate, *, on_inputs: bool = True) -> Run:
    """Build a second run: with intermediate results on the first `NUM_TRACED` probes, without on all inputs."""
    detailed = [[True, *call] for call in candidate.probes.calls[:NUM_TRACED]]
    plain = [[False, *call] for call in candidate.inputs.calls] if on_inputs else []
    return build_batch_run(render_trace(candidate.tree), detailed + plain, TRACE, profile=candidate.profile)


def find_mismatch(candidate: Candidate, outputs: SolutionOutputs, trace: BatchResult) -> str | None:
    """Return why the result of `build_trace_run`, under another hash seed, differs from the first run, or None."""
    finals = tuple(result[0][-1:] if isinstance(result, list) else result for result in trace.results)
    num_probes = len(candidate.probes.calls)
    expected = outputs.spelled[:num_probes][:NUM_TRACED] + outputs.spelled[num_probes:]
    return None if BatchResult(finals, None).spell() == expected else "differs under another hash seed"


def find_unused_step(candidate: Candidate, trace: BatchResult) -> str | None:
    """Find a step that does next to nothing.

    Args:
        candidate: a composition that runs.
        trace: result of its `build_trace_run`.

    Returns:
        `step without effect`: it returns the value of a parameter or an earlier step; `constant step`: always the same;
        `step that can be left out`: the composition returns the same without it. None if every step is needed.
    """
    num_traced = len(candidate.probes.calls[:NUM_TRACED])
    succeeded = [i for i in range(num_traced) if isinstance(trace.results[i], list)]
    details = [trace.results[i][0] for i in succeeded]
    columns: list[tuple[str, Sequence[Any]]] = [
        (param.type_name, [candidate.probes.calls[i][param.index] for i in succeeded])
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


def is_nearly_constant(outputs: Sequence[str]) -> bool:
    """Whether one output makes up more than `MAX_COMMON_OUTPUT_FRACTION` of all."""
    return Counter(outputs).most_common(1)[0][1] > MAX_COMMON_OUTPUT_FRACTION * len(outputs)


def is_nearly_equal(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Whether two columns of tagged values of one type agree on at least `MIN_EQUAL_FRACTION` of the rows."""
    allowed = (1 - MIN_EQUAL_FRACTION) * len(left)
    num_different = 0
    for one, other in zip(left, right, strict=True):
        if one != other:
            num_different += 1
            if num_different > allowed:
                return False
    return True


def has_dead_argument(outputs: Sequence[str], pairs: Sequence[tuple[int, int]]) -> bool:
    """Whether changing one parameter alone changes the output in less than `MIN_INFLUENCE_FRACTION` of the pairs."""
    num_changed = sum(outputs[i] != outputs[j] for i, j in pairs)
    return num_changed < MIN_INFLUENCE_FRACTION * len(pairs) or num_changed == 0
