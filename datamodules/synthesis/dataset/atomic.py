"""The atomic split: every atom in every seen phrasing and language, as a task of depth one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle

from datamodules.atoms import Atom
from datamodules.synthesis.composition.render import render
from datamodules.synthesis.composition.tree import depth_one, parameters, skeleton
from datamodules.synthesis.dataset.generate import Workshop
from datamodules.synthesis.dataset.rows import Row, make_row
from datamodules.synthesis.dataset.seeding import generator
from datamodules.synthesis.dataset.split import ATOMIC
from datamodules.synthesis.verification.inputs import draw_inputs
from datamodules.synthesis.verification.oracle import (
    Candidate,
    Observation,
    execute,
    observe,
    read_reply,
    solution_run,
)
from datamodules.synthesis.verification.trace import disagreement, trace_run
from datamodules.synthesis.wording.describe import describe
from datamodules.synthesis.wording.prompts import PROMPT_ATTEMPTS, reworded_prompts


def atomic_rows(atoms: Mapping[str, Atom], workshop: Workshop, split: str = ATOMIC) -> list[Row]:
    """Run every atom and write one row for each of its seen phrasings; notes behaviours and prompts as taken.

    Args:
        atoms: all of one family.
        workshop: shared state; `taken` is updated.
        split: where the rows will lie.

    Raises:
        ValueError: an atom raises on its own inputs, does not run, differs under another hash seed, or does what
            another one does.
    """
    candidates = [_candidate(atom, workshop) for atom in atoms.values()]
    executions = execute(workshop.executor, [solution_run(candidate) for candidate in candidates])
    traces = execute(workshop.verifier, [trace_run(candidate) for candidate in candidates])
    rows: list[Row] = []
    known: dict[str, str] = {}
    for candidate, first, second in zip(candidates, executions, traces, strict=True):
        name = candidate.tree.atom.name
        observation = observe(candidate, first)
        if isinstance(observation, str):
            raise ValueError(f"atom {name} cannot be a task: {observation}")
        if reason := disagreement(candidate, observation, read_reply(second)):
            raise ValueError(f"atom {name} cannot be a task: {reason}")
        if observation.fingerprint in known:
            raise ValueError(f"atom {name} cannot be a task: it behaves as {known[observation.fingerprint]}")
        known[observation.fingerprint] = name
        rows += _rows_of_atom(candidate, observation, workshop, split)
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
    solution = render(tree, names=workshop.wording.result_names(tree))
    return Candidate(tree, solution, skeleton(tree), inputs, workshop.book.probes([p.type_name for p in params]))


def _rows_of_atom(candidate: Candidate, observation: Observation, workshop: Workshop, split: str) -> list[Row]:
    taken, atom = workshop.taken, candidate.tree.atom
    taken.behaviours.setdefault(observation.fingerprint, split)
    rows = []
    for language in workshop.config.languages:
        reworded = _reworded_in_turn(candidate, language, workshop)
        for phrasing in workshop.wording.seen_phrasings(atom, language):
            task_id = f"{split}/{atom.name}/{language}/{atom.phrasings[language].index(phrasing)}"
            taken.behaviour_of_task[task_id] = observation.fingerprint
            row = make_row(
                candidate,
                observation,
                task_id=task_id,
                prompt=_new_prompt(candidate, phrasing, language, task_id=task_id, workshop=workshop),
                reworded_prompt=next(reworded),
                language=language,
                solution=workshop.solution(candidate),
            )
            rows.append(row)
    return rows


def _new_prompt(candidate: Candidate, phrasing: str, language: str, *, task_id: str, workshop: Workshop) -> str:
    rng = generator(workshop.config.seed, "prompt of atom", task_id)
    frames = workshop.wording.seen_frames(language)
    for _ in range(PROMPT_ATTEMPTS):
        names = workshop.wording.result_names(candidate.tree)
        prompt = describe(candidate.tree, frame=rng.choice(frames), phrasings=[phrasing], names=names)
        if prompt not in workshop.taken.prompts:
            break
    workshop.taken.prompts.add(prompt)
    return prompt


def _reworded_in_turn(candidate: Candidate, language: str, workshop: Workshop) -> Iterator[str]:
    """Go round the reworded prompts of an atom: a text comes again only where there are fewer than rows."""
    rng = generator(workshop.config.seed, "reworded prompt of atom", candidate.tree.atom.name, language)
    prompts = reworded_prompts(rng, candidate.tree, language, wording=workshop.wording)
    workshop.taken.prompts.update(prompts)
    return cycle(prompts)
