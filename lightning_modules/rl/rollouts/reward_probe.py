"""Reward-hacking probe: grades some passing completions again, on inputs that are disjoint from their tests.

A program that solves the task passes both times; one that memorized the tests fails. The result is measured and not
used for training.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from executor.api import Executor
from executor.types import Status, Submission
from lightning_modules.generation.sampler import uniforms
from lightning_modules.rl.config import RLConfig
from lightning_modules.rl.objectives.numerics import SumOverRanks
from lightning_modules.rl.rollouts.records import Rollout

_POSITION = 1 << 40
"""Position of the random numbers of this choice in a completion's stream; those of its tokens are smaller."""


class ProbeCounts(NamedTuple):
    """How many passing completions were graded again, and how many of those failed; infra faults are not counted."""

    num_probed: int
    num_failed: int

    def metrics(self, sum_over_ranks: SumOverRanks) -> dict[str, float]:
        """Return the counts of all ranks by tag; no failure rate if no completion was probed."""
        num_probed, num_failed = sum_over_ranks(torch.tensor(self, dtype=torch.float64)).tolist()
        rate = {"reward/probe_fail_rate": num_failed / num_probed} if num_probed else {}
        return {"reward/num_probed": num_probed, **rate}


def probe_rewards(
    executor: Executor, rollouts: Sequence[Rollout], stream_ids: Sequence[int], config: RLConfig, *, iteration: int
) -> ProbeCounts | None:
    """Grade a fraction of the passing completions again.

    Args:
        executor: Runs the programs.
        rollouts: N rollouts; those whose prompt has no `probe` are ignored.
        stream_ids: N random streams. Whether a completion is chosen depends on (seed, iteration, its stream) only.
        config: `reward_probe_fraction`, the expected fraction of the passing completions, and the seed.
        iteration: Of reinforcement learning.

    Returns:
        The counts of this rank; None if the probe is off.
    """
    fraction = config.reward_probe_fraction
    if fraction == 0.0:
        return None
    random = uniforms(config.seed, iteration, np.array(stream_ids, dtype=np.uint64), _POSITION)
    chosen = [
        Submission(task=rollout.prompt.probe.task, completion=rollout.completion.text)
        for rollout, number in zip(rollouts, random, strict=True)
        if rollout.outcome.passed and number < fraction and rollout.prompt.probe is not None
    ]
    if not chosen:
        return ProbeCounts(0, 0)
    with executor.grading() as grading:
        for submission in chosen:
            grading.add(submission)
        outcomes = [outcome for outcome in grading.outcomes() if outcome.status is not Status.INFRA]
    return ProbeCounts(len(outcomes), sum(not outcome.passed for outcome in outcomes))
