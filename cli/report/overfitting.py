"""How far the score on trained tasks runs ahead of that on held-out ones. Pure.

A raw gap rewards an arm that learnt nothing, so arms are compared where they have reached the same score on their
training tasks (`LEVELS`), and by the share of that score that carries over, where there is enough to share
(`LEAST_TRAIN`). Both take greedy answers on both sides; a run of RL, whose training score is of sampled ones, has a
path and neither of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cli.study.results import ArmResult

HELD_OUT_TAG = "pass_at_k/synthetic_val/greedy"
GREEDY_TRAIN_TAG = "pass_at_k/synthetic_train/greedy"
SAMPLED_TRAIN_TAG = "rollout/pass_at_1"
"""Pass@1 of the answers that RL was rewarded for, which are sampled."""
LEAST_TRAIN = 0.2
LEVELS = (0.2, 0.4, 0.6, 0.8)
"""Training scores at which gaps are compared."""


class Reading(NamedTuple):
    """Pass@1 on training and on held-out tasks, at the same step."""

    step: float
    train: float
    held_out: float


def is_greedy(result: ArmResult) -> bool:
    """Whether the score on training tasks is of greedy answers, as that on held-out ones always is."""
    return bool(result.curves.get(GREEDY_TRAIN_TAG))


def training_path(result: ArmResult) -> list[Reading]:
    """Read both scores at every validation; empty where a run has no score on training tasks.

    The score on training tasks is the mean since the validation before: iterations of RL each have other tasks.
    """
    train = result.curves.get(GREEDY_TRAIN_TAG if is_greedy(result) else SAMPLED_TRAIN_TAG, [])
    found, before = [], float("-inf")
    for step, score in result.curves.get(HELD_OUT_TAG, []):
        since = [value for at, value in train if before < at <= step]
        if since:
            found.append(Reading(step, sum(since) / len(since), score))
            before = step
    return found


def mean_gap(level: float, paths: Sequence[Sequence[Reading]]) -> float | None:
    """Average over seeds what training tasks are ahead of held-out ones where they first reach `level`.

    Args:
        level: pass@1 on training tasks, in 0 to 1.
        paths: one a seed.

    Returns:
        None where a seed never came to the level, or was above it when it was first asked.
    """
    gaps = [_gap(level, path) for path in paths]
    known = [gap for gap in gaps if gap is not None]
    return sum(known) / len(known) if known and len(known) == len(gaps) else None


def carried_over(train: float, held_out: float) -> float | None:
    """Share of the training score that held-out tasks keep; None where there is too little to share."""
    return held_out / train if train >= LEAST_TRAIN else None


def _gap(level: float, path: Sequence[Reading]) -> float | None:
    """Training less held-out score where the former first reaches a level, between two validations if need be."""
    if path and path[0].train == level:
        return level - path[0].held_out
    for before, after in zip(path, path[1:], strict=False):
        if before.train > level:
            return None
        if after.train >= level:
            share = (level - before.train) / (after.train - before.train)
            return level - (before.held_out + share * (after.held_out - before.held_out))
    return None
