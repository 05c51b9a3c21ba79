"""Overlap between splits by four measures: prompt, normalised program, skeleton, behaviour. Pure functions.

Also counts prompts that equal the reworded prompt of some task (`count_seen_rewordings`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from datamodules.synthesis.composition.canonical import find_proper_subtrees, normalised_hash, parse_skeleton
from datamodules.synthesis.dataset.split import PRETRAINING

MEASURES = ("prompt", "program", "skeleton", "behaviour")


@dataclass(frozen=True)
class Keys:
    """What two rows of different splits must not share, one key per measure."""

    prompt: str
    program: str
    skeleton: str
    behaviour: str


def compute_keys(*, prompt: str, solution: str, behaviour: str) -> Keys:
    """Compute the keys of a row.

    Args:
        prompt: the prompt.
        solution: source of the solution.
        behaviour: fingerprint of the solution's behaviour.

    Raises:
        ValueError: the solution is not Python or not a composition.
    """
    return Keys(_collapse_whitespace(prompt), normalised_hash(solution), parse_skeleton(solution), behaviour)


def drop_single_atom_files(splits: Mapping[str, Sequence[Keys]]) -> dict[str, list[Keys]]:
    """Drop pretraining files of single atoms, which `atomic` contains by design."""
    return {
        name: [row for row in rows if name != PRETRAINING or row.skeleton.count("(") > 1]
        for name, rows in splits.items()
    }


def count_overlaps(splits: Mapping[str, Sequence[Keys]]) -> dict[str, dict[str, int]]:
    """Count the keys that every two splits share: `{"a & b": {measure: number}}`."""
    sets = {name: {m: {getattr(row, m) for row in rows} for m in MEASURES} for name, rows in splits.items()}
    return {
        f"{one} & {other}": {measure: len(sets[one][measure] & sets[other][measure]) for measure in MEASURES}
        for one, other in combinations(sets, 2)
    }


def describe_first_overlap(counts: Mapping[str, Mapping[str, int]]) -> str | None:
    """Describe the first pair of splits that overlaps, or return None."""
    for pair, measures in counts.items():
        if shared := [f"{number} by {measure}" for measure, number in measures.items() if number]:
            return f"{pair} share items: {', '.join(shared)}"
    return None


def count_seen_rewordings(prompts: Mapping[str, Iterable[str]], reworded: Iterable[str]) -> dict[str, int]:
    """Count in each split the prompts that equal the reworded prompt of a task of any split: `{split: number}`."""
    known = {_collapse_whitespace(prompt) for prompt in reworded}
    return {split: sum(_collapse_whitespace(prompt) in known for prompt in texts) for split, texts in prompts.items()}


def describe_first_seen_rewording(counts: Mapping[str, int]) -> str | None:
    """Describe the first split that uses reworded prompts as prompts, or return None."""
    for split, number in counts.items():
        if number:
            return f"{split} has {number} prompts that are reworded prompts of tasks"
    return None


def count_containing(skeletons: Iterable[str], others: Iterable[str]) -> int:
    """Count the `skeletons` that contain one of `others` as a proper sub-tree."""
    known = frozenset(others)
    return sum(not known.isdisjoint(find_proper_subtrees(skeleton)) for skeleton in skeletons)


def _collapse_whitespace(prompt: str) -> str:
    return " ".join(prompt.split())
