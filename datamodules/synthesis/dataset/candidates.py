"""Candidates for tasks: what all generators of a data set share, and how candidates are built and verified.

Whether a candidate is valid depends on nothing but the candidate. Which valid ones are kept is decided by the callers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from datamodules.synthesis.composition.render import render_entry_function
from datamodules.synthesis.composition.tree import Call, parameters, skeleton
from datamodules.synthesis.config import SynthesisConfig
from datamodules.synthesis.dataset.split import UsedKeys
from datamodules.synthesis.verification.inputs import draw_inputs
from datamodules.synthesis.verification.oracle import (
    Candidate,
    SolutionOutputs,
    build_solution_run,
    execute,
    read_batch_result,
    read_solution_outputs,
)
from datamodules.synthesis.verification.probes import ProbeCache
from datamodules.synthesis.verification.rejection import (
    build_trace_run,
    find_degeneracy,
    find_mismatch,
    find_unused_step,
)
from datamodules.synthesis.wording.prompts import Wording
from executor.api import Executor


@dataclass
class GenerationContext:
    """What all streams of one build share."""

    config: SynthesisConfig
    probe_cache: ProbeCache
    wording: Wording
    executor: Executor
    verifier: Executor | None
    """The same kind of sandbox with another hash seed; None = results are not confirmed."""
    used: UsedKeys = field(default_factory=UsedKeys)

    def render_solution(self, candidate: Candidate) -> str:
        """Write the solution of a task in the form that the configuration selects."""
        if self.config.solution_form == "whole":
            return candidate.solution
        return render_entry_function(candidate.tree, names=self.wording.get_result_names(candidate.tree))


def build_candidate(rng: Random, tree: Call, solution: str, context: GenerationContext) -> Candidate | None:
    """Draw the inputs of a composition; None if its parameters have fewer values than tests are wanted.

    Args:
        rng: of the inputs.
        tree: the composition.
        solution: its whole program.
        context: sizes and probes.
    """
    config, params = context.config, parameters(tree)
    inputs = draw_inputs(
        rng, params, context.probe_cache, num_tests=config.num_tests, num_reward_tests=config.num_reward_tests
    )
    if inputs is None:
        return None
    probes = context.probe_cache.probes([param.type_name for param in params])
    return Candidate(tree, solution, skeleton(tree), inputs, probes)


def run_solutions(candidates: Sequence[Candidate], context: GenerationContext) -> list[SolutionOutputs | str]:
    """Run candidates; return for each its outputs, or why they make no useful task."""
    executions = execute(context.executor, [build_solution_run(candidate) for candidate in candidates])
    results: list[SolutionOutputs | str] = []
    for candidate, execution in zip(candidates, executions, strict=True):
        outputs = read_solution_outputs(candidate, execution)
        results.append(outputs if isinstance(outputs, str) else find_degeneracy(candidate, outputs) or outputs)
    return results


def run_traces(
    candidates: Sequence[Candidate], outputs: Sequence[SolutionOutputs], context: GenerationContext
) -> list[str | None]:
    """Run candidates again with intermediate results; return for each why it is rejected, or None.

    Args:
        candidates: those with outputs.
        outputs: of `run_solutions`, which the second run confirms if there is a `verifier`.
        context: settings and executors.
    """
    confirms = context.verifier is not None
    runs = [build_trace_run(candidate, on_inputs=confirms) for candidate in candidates]
    traces = [read_batch_result(execution) for execution in execute(context.verifier or context.executor, runs)]
    return [
        (find_mismatch(candidate, first, trace) if confirms else None) or find_unused_step(candidate, trace)
        for candidate, first, trace in zip(candidates, outputs, traces, strict=True)
    ]
