"""Fresh tasks: compositions that a data set does not contain, generated while a policy trains.

The tasks of a depth are a sequence that depends on the data set, a seed and the depth only. Everything about a task is
a function of its program, and a task enters the sequence if it is valid by the rules of the data set and behaves as no
earlier one, so neither batches nor restarts change the sequence. It ends when `MAX_FRUITLESS_DRAWS` draws in a row give
nothing new; its tasks are then repeated, the oldest first.

A run has one executor, so results are not confirmed under a second hash seed, as those of a data set are.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from datamodules.seeding import keyed_random
from datamodules.synthesis.composition.render import render
from datamodules.synthesis.composition.sample import AtomSampler, sample_tree
from datamodules.synthesis.composition.tree import Call, skeleton
from datamodules.synthesis.dataset.candidates import GenerationContext, build_candidate, run_solutions, run_traces
from datamodules.synthesis.dataset.rows import Row, make_row
from datamodules.synthesis.verification.oracle import Candidate, SolutionOutputs
from datamodules.synthesis.wording.prompts import draw_prompt

MAX_FRUITLESS_DRAWS = 1000
CANDIDATES_PER_TASK = 1.6
"""Candidates that are run for each missing task; about two of three are valid."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExcludedTasks:
    """What no fresh task may have."""

    skeletons: frozenset[str]
    behaviours: frozenset[str]
    """Fingerprints."""


@dataclass(frozen=True)
class _Draw:
    index: int
    candidate: Candidate
    language: str
    prompt: str


class FreshTasks:
    """The sequences of tasks of some depths, and how far each of them is used.

    Args:
        context: settings and wording of the data set, and the executor.
        sampler: the atoms to compose.
        depths: of the compositions.
        excluded: skeletons and behaviours of the data set that fresh tasks must not have.
        seed: of the sequences.
        accepts_prompt: whether a task with this prompt can be used; depends on nothing else.
    """

    def __init__(
        self,
        context: GenerationContext,
        sampler: AtomSampler,
        depths: Sequence[int],
        excluded: ExcludedTasks,
        *,
        seed: int,
        accepts_prompt: Callable[[str], bool] = lambda prompt: True,
    ) -> None:
        self._context = context
        self._excluded = excluded
        self._sequences = {
            depth: _Sequence(depth, context, sampler, excluded.skeletons, seed, accepts_prompt) for depth in depths
        }

    def prepare(self, counts: Mapping[int, int]) -> None:
        """Generate the next tasks of each depth, so that `take` returns at once.

        Args:
            counts: number of tasks by depth.

        Raises:
            ValueError: there is no task of a depth at all, or the executor failed twice on the same program.
        """
        while missing := {
            depth: n for depth, count in counts.items() if (n := self._sequences[depth].num_missing(count))
        }:
            self._extend(missing)

    def take(self, counts: Mapping[int, int]) -> list[Row]:
        """Take the next tasks of each depth; arguments and errors as of `prepare`."""
        self.prepare(counts)
        return [row for depth, count in counts.items() for row in self._sequences[depth].take(count)]

    def state_dict(self) -> dict[str, Any]:
        """Return how far each sequence is used, by depth: about 16 bytes per task."""
        return {str(depth): sequence.state_dict() for depth, sequence in self._sequences.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore `state_dict`; depths that it lacks start again."""
        for depth, sequence in self._sequences.items():
            if str(depth) in state:
                sequence.load_state_dict(state[str(depth)])

    def _extend(self, missing: Mapping[int, int]) -> None:
        """Draw and verify candidates of all depths together, and append the new tasks to the sequences."""
        drawn = [
            (self._sequences[depth], draw)
            for depth, count in missing.items()
            for draw in self._sequences[depth].draw(1 + int(CANDIDATES_PER_TASK * count))
        ]
        results = run_solutions([draw.candidate for _, draw in drawn], self._context)
        ran = [
            (sequence, draw, outputs)
            for (sequence, draw), outputs in zip(drawn, results, strict=True)
            if not isinstance(outputs, str)
            and outputs.fingerprint not in self._excluded.behaviours
            and not sequence.contains(outputs)
        ]
        reasons = run_traces([draw.candidate for _, draw, _ in ran], [outputs for *_, outputs in ran], self._context)
        for (sequence, draw, outputs), reason in zip(ran, reasons, strict=True):
            if reason is None:
                sequence.append(draw, outputs)
        for depth in missing:
            self._sequences[depth].check_end()


class _Sequence:
    """The tasks of one depth."""

    def __init__(
        self,
        depth: int,
        context: GenerationContext,
        sampler: AtomSampler,
        excluded: frozenset[str],
        seed: int,
        accepts_prompt: Callable[[str], bool],
    ) -> None:
        self._depth = depth
        self._context = context
        self._sampler = sampler
        self._excluded = excluded
        self._seed = seed
        self._accepts_prompt = accepts_prompt
        self._start([], [], 0, is_exhausted=False)

    def _start(self, indices: list[int], behaviours: list[int], num_taken: int, *, is_exhausted: bool) -> None:
        self._indices = indices
        """Index of the draw of each task."""
        self._behaviours = dict.fromkeys(behaviours)
        """Of each task, hashed; in the same order."""
        self._num_taken = num_taken
        """Tasks that were taken, repeated ones included."""
        self._is_exhausted = is_exhausted
        self._next_index = self._end_index() - MAX_FRUITLESS_DRAWS
        self._ready: deque[Row] = deque()
        """Tasks of the sequence that were not taken yet."""
        self._tried: set[int] = set()
        """Programs that were drawn in this process, hashed; none is run twice."""

    def num_missing(self, count: int) -> int:
        """Return how many of the next `count` tasks are yet to be generated; 0 once the sequence has ended."""
        return 0 if self._is_exhausted else max(0, count - len(self._ready))

    def take(self, count: int) -> list[Row]:
        """Take the next tasks, repeated ones where the sequence has ended."""
        rows = [self._ready.popleft() for _ in range(min(count, len(self._ready)))]
        self._num_taken += len(rows)
        first = self._num_taken - len(self._indices)
        positions = [(first + i) % len(self._indices) for i in range(count - len(rows))]
        self._num_taken += len(positions)
        return rows + self._rebuild(positions)

    def draw(self, num_candidates: int) -> Iterator[_Draw]:
        """Draw candidates whose program is new; fewer if the sequence may end before."""
        num_found = 0
        while num_found < num_candidates and self._next_index < self._end_index():
            index = self._next_index
            self._next_index += 1
            tree = self._sample(index)
            if tree is None or skeleton(tree) in self._excluded:
                continue
            draw = self._build(index, tree, self._tried)
            if draw is not None:
                num_found += 1
                yield draw

    def contains(self, outputs: SolutionOutputs) -> bool:
        """Whether a task of the sequence behaves like this."""
        return _hash(outputs.fingerprint) in self._behaviours

    def append(self, draw: _Draw, outputs: SolutionOutputs) -> None:
        """Append a valid task unless it behaves as an earlier one; called in the order of draws."""
        if not self.contains(outputs):
            self._ready.append(self._make_row(draw, outputs, number=len(self._indices)))
            self._indices.append(draw.index)
            self._behaviours[_hash(outputs.fingerprint)] = None

    def check_end(self) -> None:
        """End the sequence if too many draws in a row gave nothing new.

        Raises:
            ValueError: it has no task at all.
        """
        self._is_exhausted = self._next_index >= self._end_index()
        if not self._is_exhausted:
            return
        if not self._indices:
            raise ValueError(f"fresh_prompts: there is no composition of depth {self._depth} that the data set lacks")
        _log.warning(
            "fresh_prompts: %d draws gave no new composition of depth %d after %d tasks: the oldest are used again",
            *(MAX_FRUITLESS_DRAWS, self._depth, len(self._indices)),
        )

    def state_dict(self) -> dict[str, Any]:
        num_used = min(self._num_taken, len(self._indices))
        return {
            "num_taken": self._num_taken,
            "indices": self._indices[:num_used],
            "behaviours": list(self._behaviours)[:num_used],
            "is_exhausted": self._is_exhausted and not self._ready,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        indices, behaviours = list(state["indices"]), list(state["behaviours"])
        self._start(indices, behaviours, state["num_taken"], is_exhausted=state["is_exhausted"])

    def _end_index(self) -> int:
        """Return the draw at which the sequence ends if no draw before gives a new task."""
        return (self._indices[-1] + 1 if self._indices else 0) + MAX_FRUITLESS_DRAWS

    def _sample(self, index: int) -> Call | None:
        rng = keyed_random(self._seed, "fresh composition", self._depth, index)
        return sample_tree(rng, self._sampler, depth=self._depth)

    def _build(self, index: int, tree: Call, tried: set[int]) -> _Draw | None:
        """Build the candidate of a tree, as a function of its program; None for one tried before or without use."""
        context = self._context
        solution = render(tree, names=context.wording.get_result_names(tree))
        if (key := _hash(solution)) in tried:
            return None
        tried.add(key)
        rng = keyed_random(self._seed, "prompt of fresh composition", solution)
        language = rng.choice(context.config.languages)
        frames = context.wording.get_seen_frames(language)
        prompt = draw_prompt(rng, tree, language, frames=frames, wording=context.wording, used=set())
        if prompt is None or not self._accepts_prompt(prompt):
            return None
        rng = keyed_random(self._seed, "inputs of fresh composition", solution)
        candidate = build_candidate(rng, tree, solution, context)
        return None if candidate is None else _Draw(index, candidate, language, prompt)

    def _rebuild(self, positions: Sequence[int]) -> list[Row]:
        """Build tasks of the sequence again; only their solutions are run."""
        draws = []
        for position in positions:
            tree = self._sample(self._indices[position])
            draw = None if tree is None else self._build(self._indices[position], tree, set())
            assert draw is not None, "a draw depends on its index only"
            draws.append(draw)
        rows = []
        results = run_solutions([draw.candidate for draw in draws], self._context)
        for position, draw, outputs in zip(positions, draws, results, strict=True):
            if isinstance(outputs, str):
                raise ValueError(f"fresh_prompts: task {position} of depth {self._depth} was valid and now {outputs}")
            rows.append(self._make_row(draw, outputs, number=position))
        return rows

    def _make_row(self, draw: _Draw, outputs: SolutionOutputs, *, number: int) -> Row:
        return make_row(
            draw.candidate,
            outputs,
            task_id=f"fresh/{self._depth}/{number:05d}",
            prompt=draw.prompt,
            reworded_prompt="",
            language=draw.language,
            solution=self._context.render_solution(draw.candidate),
        )


def _hash(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big", signed=True)
