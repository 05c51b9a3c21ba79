"""How far the score on trained tasks runs ahead of that on held-out ones. Pure.

A raw gap rewards an arm that learnt nothing, so arms are compared where they have reached the same score on their
training tasks, and by the share of that score that carries over, where there is enough to share (`LEAST_TRAIN`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cli.study.results import ArmResult

HELD_OUT_TAG = "pass_at_k/synthetic_val/greedy"
TRAIN_TAGS = ("pass_at_k/synthetic_train/greedy", "rollout/pass_at_1")
"""The first that a run has: greedy answers to training tasks, or the sampled ones that RL was rewarded for."""
LEAST_TRAIN = 0.2


class Reading(NamedTuple):
    """Pass@1 on training and on held-out tasks, at the same step."""

    step: float
    train: float
    held_out: float


class Matched(NamedTuple):
    """The gaps of all stages at one training score."""

    train: float
    gaps: Mapping[str, Sequence[float]]
    """Train minus held-out, one a seed."""


def training_path(result: ArmResult) -> list[Reading]:
    """Read both scores at every validation; empty where a run has no score on training tasks.

    The score on training tasks is the mean since the validation before: iterations of RL each have other tasks.
    """
    tag = next((tag for tag in TRAIN_TAGS if result.curves.get(tag)), None)
    held_out = result.curves.get(HELD_OUT_TAG, [])
    if tag is None:
        return []
    found, before = [], float("-inf")
    for step, score in held_out:
        since = [value for at, value in result.curves[tag] if before < at <= step]
        if since:
            found.append(Reading(step, sum(since) / len(since), score))
            before = step
    return found


def matched_gaps(paths: Mapping[str, Sequence[Sequence[Reading]]]) -> Matched | None:
    """Compare stages at the highest training score that every seed of every stage reached.

    Args:
        paths: by stage, one a seed.

    Returns:
        None where fewer than two stages have paths.
    """
    paths = {stage: [path for path in seeds if path] for stage, seeds in paths.items()}
    paths = {stage: seeds for stage, seeds in paths.items() if seeds}
    if len(paths) < 2:
        return None
    level = min(max(reading.train for reading in path) for seeds in paths.values() for path in seeds)
    return Matched(
        level, {stage: [level - _held_out_at(level, path) for path in seeds] for stage, seeds in paths.items()}
    )


def carried_over(train: float, held_out: float) -> float | None:
    """Share of the training score that held-out tasks keep; None where there is too little to share."""
    return held_out / train if train >= LEAST_TRAIN else None


def _held_out_at(level: float, path: Sequence[Reading]) -> float:
    """Held-out score where the training score first reaches a level, between two validations if need be."""
    for before, after in zip(path, path[1:], strict=False):
        if before.train >= level:
            return before.held_out
        if after.train >= level:
            share = (level - before.train) / (after.train - before.train)
            return before.held_out + share * (after.held_out - before.held_out)
    return path[-1].held_out if path[0].train < level else path[0].held_out
