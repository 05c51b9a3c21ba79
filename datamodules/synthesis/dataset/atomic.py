"""Rows of single atoms: the split `atomic`, and the atoms' files for pretraining.

The split has one row for every atom, language and seen phrasing. Composed files come from a stream of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

from datamodules.atoms import Atom
from datamodules.seeding import keyed_random
from datamodules.synthesis.composition.render import render
from datamodules.synthesis.composition.tree import build_depth_one
from datamodules.synthesis.dataset.candidates import GenerationContext, build_candidate
from datamodules.synthesis.dataset.rows import Row, make_row
from datamodules.synthesis.dataset.split import ATOMIC, PRETRAINING, UsedKeys
from datamodules.synthesis.verification.oracle import (
    Candidate,
    SolutionOutputs,
    build_solution_run,
    execute,
    read_batch_result,
    read_solution_outputs,
)
from datamodules.synthesis.verification.rejection import build_trace_run, find_mismatch
from datamodules.synthesis.wording.frames import DOCSTRINGS
from datamodules.synthesis.wording.prompts import PROMPT_ATTEMPTS, build_reworded_prompts, describe


def build_atomic_rows(atoms: Mapping[str, Atom], context: GenerationContext, split: str = ATOMIC) -> list[Row]:
    """Run every atom and build one row for each of its seen phrasings.

    Args:
        atoms: all atoms of one family.
        context: shared state; behaviours and prompts are added to `used`.
        split: name of the split.

    Raises:
        ValueError: an atom raises on its own inputs, does not run, depends on the hash seed, or behaves as another one.
    """
    candidates = [_build_candidate(atom, context) for atom in atoms.values()]
    executions = execute(context.executor, [build_solution_run(candidate) for candidate in candidates])
    traces = execute(context.verifier or context.executor, [build_trace_run(candidate) for candidate in candidates])
    rows: list[Row] = []
    known: dict[str, str] = {}
    for candidate, first, second in zip(candidates, executions, traces, strict=True):
        name = candidate.tree.atom.name
        outputs = read_solution_outputs(candidate, first)
        if isinstance(outputs, str):
            raise ValueError(f"atom {name} cannot be a task: {outputs}")
        if reason := find_mismatch(candidate, outputs, read_batch_result(second)):
            raise ValueError(f"atom {name} cannot be a task: {reason}")
        if outputs.fingerprint in known:
            raise ValueError(f"atom {name} cannot be a task: it behaves as {known[outputs.fingerprint]}")
        known[outputs.fingerprint] = name
        rows += _build_rows_of_atom(candidate, outputs, context, split)
    return rows


def build_atom_files(atomic: Sequence[Row], atoms: Mapping[str, Atom], *, seed: int, used: UsedKeys) -> list[Row]:
    """Build the pretraining file of every atomic row: a docstring as its prompt; adds behaviours to `used`."""
    rows = []
    for row in atomic:
        atom, language = atoms[row["atoms"][0]], row["language"]
        phrasing = atom.phrasings[language][int(row["task_id"].rpartition("/")[2])]
        task_id = f"{PRETRAINING}/{row['task_id']}"
        used.behaviour_by_task[task_id] = used.behaviour_by_task[row["task_id"]]
        frame = keyed_random(seed, "file of atom", task_id).choice(DOCSTRINGS[language])
        prompt = describe(build_depth_one(atom), frame=frame, phrasings=[phrasing])
        rows.append({**row, "task_id": task_id, "prompt": prompt})
    return rows


def _build_candidate(atom: Atom, context: GenerationContext) -> Candidate:
    tree = build_depth_one(atom)
    rng = keyed_random(context.config.seed, "inputs of atoms", atom.name)
    solution = render(tree, names=context.wording.get_result_names(tree))
    candidate = build_candidate(rng, tree, solution, context)
    if candidate is None:
        raise ValueError(f"atom {atom.name}: its parameters have fewer values than tests are wanted")
    return candidate


def _build_rows_of_atom(
    candidate: Candidate, outputs: SolutionOutputs, context: GenerationContext, split: str
) -> list[Row]:
    used, atom = context.used, candidate.tree.atom
    used.behaviours.setdefault(outputs.fingerprint, split)
    rows = []
    for language in context.config.languages:
        reworded = _cycle_reworded_prompts(candidate, language, context)
        for phrasing in context.wording.get_seen_phrasings(atom, language):
            task_id = f"{split}/{atom.name}/{language}/{atom.phrasings[language].index(phrasing)}"
            used.behaviour_by_task[task_id] = outputs.fingerprint
            row = make_row(
                candidate,
                outputs,
                task_id=task_id,
                prompt=_draw_new_prompt(candidate, phrasing, language, task_id=task_id, context=context),
                reworded_prompt=next(reworded),
                language=language,
                solution=context.render_solution(candidate),
            )
            rows.append(row)
    return rows


def _draw_new_prompt(
    candidate: Candidate, phrasing: str, language: str, *, task_id: str, context: GenerationContext
) -> str:
    rng = keyed_random(context.config.seed, "prompt of atom", task_id)
    frames = context.wording.get_seen_frames(language)
    names = context.wording.get_result_names(candidate.tree)
    for _ in range(PROMPT_ATTEMPTS):
        prompt = describe(candidate.tree, frame=rng.choice(frames), phrasings=[phrasing], names=names)
        if prompt not in context.used.prompts:
            break
    context.used.prompts.add(prompt)
    return prompt


def _cycle_reworded_prompts(candidate: Candidate, language: str, context: GenerationContext) -> Iterator[str]:
    """Yield the reworded prompts of an atom in turn: a text repeats only if there are fewer than rows."""
    rng = keyed_random(context.config.seed, "reworded prompt of atom", candidate.tree.atom.name, language)
    prompts = build_reworded_prompts(rng, candidate.tree, language, wording=context.wording)
    context.used.prompts.update(prompts)
    return cycle(prompts)
