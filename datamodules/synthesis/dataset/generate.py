"""Generates the splits of one stream: draw compositions, run them in batches, keep those that are valid and new.

The result depends on the order of draws only: batches have a fixed size and are evaluated in order, so neither the
number of workers nor their speed changes what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from datamodules.seeding import keyed_random
from datamodules.synthesis.composition.render import render
from datamodules.synthesis.composition.sample import sample_tree
from datamodules.synthesis.composition.tree import skeleton
from datamodules.synthesis.dataset.candidates import GenerationContext, build_candidate, run_solutions, run_traces
from datamodules.synthesis.dataset.rows import Row, make_row
from datamodules.synthesis.dataset.split import ATOMIC, TENSOR_ATOMIC, Stream, UsedKeys
from datamodules.synthesis.verification.oracle import Candidate, SolutionOutputs
from datamodules.synthesis.wording.frames import DOCSTRINGS
from datamodules.synthesis.wording.prompts import draw_prompt, draw_reworded_prompt

BATCH_SIZE = 256
DRAWS_PER_CHECK = 30_000
"""A stream is exhausted when this many draws in a row yield less than `MIN_KEPT_PER_CHECK` items."""
MIN_KEPT_PER_CHECK = 30

OnProgress = Callable[[int], None]
"""Called after every batch with the number of tasks it added."""


@dataclass(frozen=True)
class _Draw:
    index: int
    split: str
    candidate: Candidate


def generate_splits(stream: Stream, context: GenerationContext, on_progress: OnProgress) -> dict[str, list[Row]]:
    """Generate the splits of a stream.

    Args:
        stream: source of compositions, with the size of each split.
        context: shared state; `used` is updated.
        on_progress: called after every batch with the number of tasks it added.

    Returns:
        Rows by split, fewer than wanted if the stream is exhausted first.
    """
    rows: dict[str, list[Row]] = {split: [] for split in stream.sizes}
    budget = _RejectionBudget()
    draws = _draw_candidates(stream, context, budget)
    while batch := list(islice(draws, _choose_batch_size(stream, context.used))):
        num_kept = 0
        for draw, outputs in _verify(batch, context):
            row = _keep(draw, outputs, stream, context)
            if row is not None:
                rows[draw.split].append(row)
                num_kept += 1
        budget.count_kept(num_kept)
        on_progress(num_kept)
    return rows


def _choose_batch_size(stream: Stream, used: UsedKeys) -> int:
    """Run twice the missing number, because about two of three candidates are kept, up to `BATCH_SIZE`."""
    num_missing = sum(used.count_missing(stream, split) for split in stream.sizes)
    return min(BATCH_SIZE, max(1, 2 * num_missing))


@dataclass
class _RejectionBudget:
    """Counts draws and kept items since the last check."""

    num_draws: int = 0
    num_kept: int = 0

    def count_draw(self) -> bool:
        """Count one draw; return False if the stream is exhausted."""
        self.num_draws += 1
        if self.num_draws < DRAWS_PER_CHECK:
            return True
        has_items_left = self.num_kept >= MIN_KEPT_PER_CHECK
        self.num_draws = self.num_kept = 0
        return has_items_left

    def count_kept(self, num_kept: int) -> None:
        self.num_kept += num_kept


def _draw_candidates(stream: Stream, context: GenerationContext, budget: _RejectionBudget) -> Iterator[_Draw]:
    """Yield candidates worth running, until all splits are full or the stream is exhausted."""
    index = -1
    while budget.count_draw() and any(context.used.count_missing(stream, split) > 0 for split in stream.sizes):
        index += 1
        draw = _draw_candidate(index, stream, context)
        if draw is not None:
            yield draw


def _draw_candidate(index: int, stream: Stream, context: GenerationContext) -> _Draw | None:
    config, used = context.config, context.used
    rng = keyed_random(config.seed, stream.name, index)
    tree = sample_tree(rng, stream.sampler, depth=rng.choice(stream.depths))
    if tree is None:
        return None
    shape = skeleton(tree)
    split = stream.assign_split(config.seed, shape)
    if used.count_missing(stream, split) <= 0 or used.is_closed(shape):
        return None
    if used.stream_by_skeleton.get(shape, stream.name) != stream.name:
        return None
    solution = render(tree, names=context.wording.get_result_names(tree))
    if solution in used.programs:
        return None
    if stream.required_atoms and not any(f"def {name}(" in solution for name in stream.required_atoms):
        return None
    used.programs.add(solution)
    candidate = build_candidate(rng, tree, solution, context)
    if candidate is None:
        used.reject("too few distinct inputs", shape)
        return None
    return _Draw(index, split, candidate)


def _verify(batch: list[_Draw], context: GenerationContext) -> Iterator[tuple[_Draw, SolutionOutputs]]:
    """Run a batch and yield, in order, candidates whose behaviour is valid and new under both hash seeds."""
    used = context.used
    valid: list[tuple[_Draw, SolutionOutputs]] = []
    new: set[str] = set()
    results = run_solutions([draw.candidate for draw in batch], context)
    for draw, outputs in zip(batch, results, strict=True):
        if isinstance(outputs, str):
            used.reject(outputs, draw.candidate.skeleton)
        elif outputs.fingerprint in used.behaviours or outputs.fingerprint in new:
            is_atom = used.behaviours.get(outputs.fingerprint) in (ATOMIC, TENSOR_ATOMIC)
            used.reject("behaves as an atom" if is_atom else "behaves as another item", draw.candidate.skeleton)
        else:
            new.add(outputs.fingerprint)
            valid.append((draw, outputs))
    reasons = run_traces([draw.candidate for draw, _ in valid], [outputs for _, outputs in valid], context)
    for (draw, outputs), reason in zip(valid, reasons, strict=True):
        if reason is None:
            yield draw, outputs
        else:
            used.reject(reason, draw.candidate.skeleton)


def _keep(draw: _Draw, outputs: SolutionOutputs, stream: Stream, context: GenerationContext) -> Row | None:
    """Build the row and record its keys; None if its split or skeleton was filled earlier in the batch."""
    config, used, shape = context.config, context.used, draw.candidate.skeleton
    if used.count_missing(stream, draw.split) <= 0 or used.is_closed(shape):
        return None
    number = used.splits[draw.split]
    language = config.languages[(number + config.seed) % len(config.languages)]
    prompts = _draw_prompts(draw, language, stream, context)
    if prompts is None:
        used.reject("prompt taken", shape)
        return None
    used.splits[draw.split] += 1
    used.items_by_stream[stream.name, draw.split] += 1
    used.skeletons[shape] += 1
    used.stream_by_skeleton[shape] = stream.name
    used.behaviours[outputs.fingerprint] = draw.split
    task_id = f"{draw.split}/{number:05d}"
    used.behaviour_by_task[task_id] = outputs.fingerprint
    prompt, reworded = prompts
    return make_row(
        draw.candidate,
        outputs,
        task_id=task_id,
        prompt=prompt,
        reworded_prompt=reworded,
        language=language,
        solution=context.render_solution(draw.candidate),
    )


def _draw_prompts(draw: _Draw, language: str, stream: Stream, context: GenerationContext) -> tuple[str, str] | None:
    """Draw the prompt and the reworded prompt, each from its own generator; None if either has no new text."""
    seed, wording, used = context.config.seed, context.wording, context.used.prompts
    tree = draw.candidate.tree
    frames = wording.get_seen_frames(language) if stream.has_frames else DOCSTRINGS[language]
    rng = keyed_random(seed, f"prompt of {stream.name}", draw.index)
    prompt = draw_prompt(rng, tree, language, frames=frames, wording=wording, used=used)
    rng = keyed_random(seed, f"reworded prompt of {stream.name}", draw.index)
    reworded = draw_reworded_prompt(rng, tree, language, wording=wording, used=used)
    return (prompt, reworded) if prompt is not None and reworded is not None else None
