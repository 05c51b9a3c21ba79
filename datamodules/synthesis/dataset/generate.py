"""Filling the splits of one stream: draw, drop what cannot be a task, run the rest in batches, keep what is new.

The order of draws alone decides: batches have a fixed size and are judged in order, so neither the number of workers
nor their speed changes what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from datamodules.synthesis.composition.render import render, render_entry_function
from datamodules.synthesis.composition.sample import sample_tree
from datamodules.synthesis.composition.tree import parameters, skeleton
from datamodules.synthesis.config import SynthesisConfig
from datamodules.synthesis.dataset.rows import Row, make_row
from datamodules.synthesis.dataset.seeding import generator
from datamodules.synthesis.dataset.split import ATOMIC, TENSOR_ATOMIC, Stream, Taken
from datamodules.synthesis.verification.inputs import draw_inputs
from datamodules.synthesis.verification.oracle import (
    Candidate,
    Observation,
    degeneracy,
    execute,
    observe,
    read_reply,
    solution_run,
)
from datamodules.synthesis.verification.probes import ProbeBook
from datamodules.synthesis.verification.trace import disagreement, idle_step, trace_run
from datamodules.synthesis.wording.frames import DOCSTRINGS
from datamodules.synthesis.wording.phrasing import Wording
from datamodules.synthesis.wording.prompts import draw_prompt, draw_reworded_prompt
from executor.api import Executor

BATCH_SIZE = 256
PATIENCE = 30_000
"""Draws in a row that may bring less than `MIN_PER_PATIENCE` new items before a stream counts as used up."""
MIN_PER_PATIENCE = 30

OnKept = Callable[[int], None]


@dataclass
class Workshop:
    """What the streams of one build share."""

    config: SynthesisConfig
    book: ProbeBook
    wording: Wording
    executor: Executor
    verifier: Executor
    """The same kind of sandbox with another hash seed."""
    taken: Taken = field(default_factory=Taken)

    def solution(self, candidate: Candidate) -> str:
        """Write the solution of a task in the form that the configuration asks for."""
        if self.config.solution_form == "whole":
            return candidate.solution
        return render_entry_function(candidate.tree, names=self.wording.result_names(candidate.tree))


@dataclass(frozen=True)
class _Draw:
    index: int
    split: str
    candidate: Candidate


def fill(stream: Stream, workshop: Workshop, on_kept: OnKept) -> dict[str, list[Row]]:
    """Fill the stream's splits, fewer than asked for where the draws bring nothing new any more.

    Args:
        stream: where compositions come from and go to.
        workshop: shared state; `taken` is updated.
        on_kept: called with the number of items kept after every batch.
    """
    rows: dict[str, list[Row]] = {split: [] for split in stream.quotas}
    patience = _Patience()
    draws = _draws(stream, workshop, patience)
    while batch := list(islice(draws, _batch_size(stream, workshop.taken))):
        num_kept = 0
        for draw, observation in _judge(batch, workshop):
            row = _keep(draw, observation, stream, workshop)
            if row is not None:
                rows[draw.split].append(row)
                num_kept += 1
        patience.kept(num_kept)
        on_kept(num_kept)
    return rows


def _batch_size(stream: Stream, taken: Taken) -> int:
    """Run twice what is missing, as about two of three candidates are kept, but no more than `BATCH_SIZE`."""
    num_missing = sum(taken.num_missing(stream, split) for split in stream.quotas)
    return min(BATCH_SIZE, max(1, 2 * num_missing))


@dataclass
class _Patience:
    """Counts draws and items since the last look; a stream is dry when a long look brought next to nothing."""

    num_draws: int = 0
    num_kept: int = 0
    is_over: bool = False

    def drawn(self) -> bool:
        self.num_draws += 1
        if self.num_draws >= PATIENCE:
            self.is_over = self.num_kept < MIN_PER_PATIENCE
            self.num_draws = self.num_kept = 0
        return not self.is_over

    def kept(self, num_kept: int) -> None:
        self.num_kept += num_kept


def _draws(stream: Stream, workshop: Workshop, patience: _Patience) -> Iterator[_Draw]:
    """Yield what is worth running, until all quotas are full or the stream is dry."""
    index = -1
    while patience.drawn() and any(workshop.taken.num_missing(stream, split) > 0 for split in stream.quotas):
        index += 1
        draw = _draw(index, stream, workshop)
        if draw is not None:
            yield draw


def _draw(index: int, stream: Stream, workshop: Workshop) -> _Draw | None:
    config, taken = workshop.config, workshop.taken
    rng = generator(config.seed, stream.name, index)
    tree = sample_tree(rng, stream.palette, depth=rng.choice(stream.depths))
    if tree is None:
        return None
    shape = skeleton(tree)
    split = stream.owner(config.seed, shape)
    if taken.num_missing(stream, split) <= 0 or taken.is_closed(shape):
        return None
    if taken.stream_of.get(shape, stream.name) != stream.name:
        return None
    solution = render(tree, names=workshop.wording.result_names(tree))
    if solution in taken.programs:
        return None
    if stream.required_atoms and not any(f"def {name}(" in solution for name in stream.required_atoms):
        return None
    taken.programs.add(solution)
    inputs = draw_inputs(
        rng,
        parameters(tree),
        workshop.book,
        num_tests=config.num_tests,
        num_reward_tests=config.num_reward_tests,
    )
    if inputs is None:
        _reject("too few distinct inputs", shape, taken)
        return None
    probes = workshop.book.probes([param.type_name for param in parameters(tree)])
    return _Draw(index, split, Candidate(tree, solution, shape, inputs, probes))


def _judge(batch: list[_Draw], workshop: Workshop) -> Iterator[tuple[_Draw, Observation]]:
    """Run a batch and yield, in order, what is a sound and new behaviour under both hash seeds."""
    taken = workshop.taken
    sound: list[tuple[_Draw, Observation]] = []
    fresh: set[str] = set()
    executions = execute(workshop.executor, [solution_run(draw.candidate) for draw in batch])
    for draw, execution in zip(batch, executions, strict=True):
        observation = observe(draw.candidate, execution)
        reason = observation if isinstance(observation, str) else degeneracy(draw.candidate, observation)
        if reason is not None or isinstance(observation, str):
            _reject(str(reason), draw.candidate.skeleton, taken)
        elif observation.fingerprint in taken.behaviours or observation.fingerprint in fresh:
            is_atom = taken.behaviours.get(observation.fingerprint) in (ATOMIC, TENSOR_ATOMIC)
            _reject("behaves as an atom" if is_atom else "behaves as another item", draw.candidate.skeleton, taken)
        else:
            fresh.add(observation.fingerprint)
            sound.append((draw, observation))
    confirmations = execute(workshop.verifier, [trace_run(draw.candidate) for draw, _ in sound])
    for (draw, observation), execution in zip(sound, confirmations, strict=True):
        trace = read_reply(execution)
        reason = disagreement(draw.candidate, observation, trace) or idle_step(draw.candidate, trace)
        if reason is None:
            yield draw, observation
        else:
            _reject(reason, draw.candidate.skeleton, taken)


def _keep(draw: _Draw, observation: Observation, stream: Stream, workshop: Workshop) -> Row | None:
    """Make the row and note what it takes; None where its split or skeleton filled up within the batch."""
    config, taken, shape = workshop.config, workshop.taken, draw.candidate.skeleton
    if taken.num_missing(stream, draw.split) <= 0 or taken.is_closed(shape):
        return None
    number = taken.splits[draw.split]
    language = config.languages[(number + config.seed) % len(config.languages)]
    prompts = _draw_prompts(draw, language, stream, workshop)
    if prompts is None:
        _reject("prompt taken", shape, taken)
        return None
    taken.splits[draw.split] += 1
    taken.quotas_used[stream.name, draw.split] += 1
    taken.skeletons[shape] += 1
    taken.stream_of[shape] = stream.name
    taken.behaviours[observation.fingerprint] = draw.split
    task_id = f"{draw.split}/{number:05d}"
    taken.behaviour_of_task[task_id] = observation.fingerprint
    return make_row(
        draw.candidate,
        observation,
        task_id=task_id,
        prompt=prompts[0],
        reworded_prompt=prompts[1],
        language=language,
        solution=workshop.solution(draw.candidate),
    )


def _draw_prompts(draw: _Draw, language: str, stream: Stream, workshop: Workshop) -> tuple[str, str] | None:
    """Draw the prompt and the reworded one, each with randomness of its own; None where either has no new text."""
    seed, wording, taken = workshop.config.seed, workshop.wording, workshop.taken.prompts
    tree = draw.candidate.tree
    frames = wording.seen_frames(language) if stream.has_frames else DOCSTRINGS[language]
    rng = generator(seed, f"prompt of {stream.name}", draw.index)
    prompt = draw_prompt(rng, tree, language, frames=frames, wording=wording, taken=taken)
    rng = generator(seed, f"reworded prompt of {stream.name}", draw.index)
    reworded = draw_reworded_prompt(rng, tree, language, wording=wording, taken=taken)
    return (prompt, reworded) if prompt is not None and reworded is not None else None


def _reject(reason: str, shape: str, taken: Taken) -> None:
    taken.rejections[reason] += 1
    taken.failures[shape] += 1
