"""Overlap between splits by four measures: prompt, normalised program, skeleton, behaviour. Pure.

Beside these, which prompts are the reworded prompt of any task (`seen_rewordings`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from datamodules.synthesis.composition.normalise import normalised_hash
from datamodules.synthesis.composition.skeleton import proper_subtrees, skeleton_of_program
from datamodules.synthesis.dataset.split import PRETRAINING

MEASURES = ("prompt", "program", "skeleton", "behaviour")


@dataclass(frozen=True)
class Keys:
    """What two rows must not share across splits, one key a measure."""

    prompt: str
    program: str
    skeleton: str
    behaviour: str


def keys_of(*, prompt: str, solution: str, behaviour: str) -> Keys:
    """Compute the keys of a row from its texts and its fingerprint.

    Raises:
        ValueError: the solution is not Python or not a composition.
    """
    return Keys(_in_one_line(prompt), normalised_hash(solution), skeleton_of_program(solution), behaviour)


def comparable(splits: Mapping[str, Sequence[Keys]]) -> dict[str, list[Keys]]:
    """Leave out what may be in two splits: atoms alone among the files for a base model, which `atomic` has too."""
    return {
        name: [row for row in rows if name != PRETRAINING or row.skeleton.count("(") > 1]
        for name, rows in splits.items()
    }


def overlaps(splits: Mapping[str, Sequence[Keys]]) -> dict[str, dict[str, int]]:
    """Count, for every two splits, the keys both hold: `{"a & b": {measure: number}}`."""
    sets = {name: {m: {getattr(row, m) for row in rows} for m in MEASURES} for name, rows in splits.items()}
    return {
        f"{one} & {other}": {measure: len(sets[one][measure] & sets[other][measure]) for measure in MEASURES}
        for one, other in combinations(sets, 2)
    }


def first_overlap(counts: Mapping[str, Mapping[str, int]]) -> str | None:
    """One line on a pair of splits that overlap, or None when none do."""
    for pair, measures in counts.items():
        if shared := [f"{number} by {measure}" for measure, number in measures.items() if number]:
            return f"{pair} share items: {', '.join(shared)}"
    return None


def seen_rewordings(prompts: Mapping[str, Iterable[str]], reworded: Iterable[str]) -> dict[str, int]:
    """Count, for every split, the prompts that are the reworded prompt of a task of any split: `{split: number}`."""
    known = {_in_one_line(prompt) for prompt in reworded}
    return {split: sum(_in_one_line(prompt) in known for prompt in texts) for split, texts in prompts.items()}


def first_seen_rewording(counts: Mapping[str, int]) -> str | None:
    """One line on a split that holds reworded prompts as prompts, or None when none does."""
    for split, number in counts.items():
        if number:
            return f"{split} has {number} prompts that are reworded prompts of tasks"
    return None


def num_containing(skeletons: Iterable[str], others: Iterable[str]) -> int:
    """How many of `skeletons` hold one of `others` as a proper sub-tree."""
    known = frozenset(others)
    return sum(not known.isdisjoint(proper_subtrees(skeleton)) for skeleton in skeletons)


def _in_one_line(prompt: str) -> str:
    return " ".join(prompt.split())
