"""The atomic split: every atom in every phrasing and language, as a task of depth one."""

from __future__ import annotations

from collections.abc import Mapping

from datamodules.atoms import Atom
from datamodules.synthesis.composition import depth_one, parameters, skeleton
from datamodules.synthesis.describe import choose_frame, describe
from datamodules.synthesis.fill import Workshop
from datamodules.synthesis.inputs import draw_inputs
from datamodules.synthesis.oracle import (
    Candidate,
    Observation,
    execute,
    observe,
    read_reply,
    solution_run,
)
from datamodules.synthesis.render import render
from datamodules.synthesis.rows import PROMPT_ATTEMPTS, Row, make_row
from datamodules.synthesis.seeding import generator
from datamodules.synthesis.split import ATOMIC
from datamodules.synthesis.trace import disagreement, trace_run


def atomic_rows(atoms: Mapping[str, Atom], workshop: Workshop) -> list[Row]:
    """Run every atom and write one row for each of its phrasings; notes behaviours and prompts as taken.

    Raises:
        ValueError: an atom raises on its own inputs, does not run, or differs under another hash seed.
    """
    candidates = [_candidate(atom, workshop) for atom in atoms.values()]
    executions = execute(workshop.executor, [solution_run(candidate) for candidate in candidates])
    traces = execute(workshop.verifier, [trace_run(candidate) for candidate in candidates])
    rows: list[Row] = []
    for candidate, first, second in zip(candidates, executions, traces, strict=True):
        name = candidate.tree.atom.name
        observation = observe(candidate, first)
        if isinstance(observation, str):
            raise ValueError(f"atom {name} cannot be a task: {observation}")
        if reason := disagreement(candidate, observation, read_reply(second)):
            raise ValueError(f"atom {name} cannot be a task: {reason}")
        rows += _rows_of_atom(candidate, observation, workshop)
    return rows


def _candidate(atom: Atom, workshop: Workshop) -> Candidate:
    config, tree = workshop.config, depth_one(atom)
    params = parameters(tree)
    inputs = draw_inputs(
        generator(config.seed, "inputs of atoms", atom.name),
        params,
        workshop.book,
        num_tests=config.num_tests,
        num_reward_tests=config.num_reward_tests,
    )
    if inputs is None:
        raise ValueError(f"atom {atom.name}: its parameters have fewer values than tests are wanted")
    return Candidate(tree, render(tree), skeleton(tree), inputs, workshop.book.probes([p.type_name for p in params]))


def _rows_of_atom(candidate: Candidate, observation: Observation, workshop: Workshop) -> list[Row]:
    config, taken, name = workshop.config, workshop.taken, candidate.tree.atom.name
    taken.behaviours.setdefault(observation.fingerprint, ATOMIC)
    rows = []
    for language in config.languages:
        for number, phrasing in enumerate(candidate.tree.atom.phrasings[language]):
            task_id = f"{ATOMIC}/{name}/{language}/{number}"
            rng = generator(config.seed, "prompt of atom", task_id)
            for _ in range(PROMPT_ATTEMPTS):
                prompt = describe(candidate.tree, frame=choose_frame(rng, language), phrasings=[phrasing])
                if prompt not in taken.prompts:
                    break
            taken.prompts.add(prompt)
            taken.behaviour_of_task[task_id] = observation.fingerprint
            rows.append(make_row(candidate, observation, task_id=task_id, prompt=prompt, language=language))
    return rows
