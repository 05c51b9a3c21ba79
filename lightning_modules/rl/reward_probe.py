"""The hacking meter: some of the programs that passed are run again on inputs that are disjoint from their tests.

A program that solves the task passes both; one that knows the tests fails the second time. What is measured trains
nothing.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.batches import TaskPrompt
from executor.api import Executor
from executor.types import Outcome, Status, Submission
from lightning_modules.generation.counter_random import uniforms

_POSITION = 1 << 40
"""Names the random numbers of this choice, where those of a response's tokens have their positions."""


class Retest(NamedTuple):
    """How many passes were run again and judged, and how many of those failed."""

    num_retested: int
    num_failed: int

    def metrics(self, sum_over_ranks: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Give the counts of all ranks by tag; no gap where no pass was run again."""
        num_retested, num_failed = sum_over_ranks(torch.tensor(self, dtype=torch.float64)).tolist()
        gap = {"reward/retest_gap": num_failed / num_retested} if num_retested else {}
        return {"reward/num_retested": num_retested, **gap}


def retest(
    executor: Executor,
    prompts: Sequence[TaskPrompt],
    completions: Sequence[str],
    outcomes: Sequence[Outcome],
    sample_ids: Sequence[int],
    *,
    share: float,
    seed: int,
    iteration: int,
) -> Retest:
    """Run a share of the passes again.

    Args:
        executor: runs them.
        prompts: N; those without a `retest` are left out.
        completions: N texts.
        outcomes: N verdicts, the first ones.
        sample_ids: N names of random numbers; whether a pass is chosen depends on (seed, iteration, its name) alone.
        share: of the passes, expected; 0.0 to 1.0.
        seed: of the run.
        iteration: of reinforcement learning.

    Returns:
        The counts, infrastructure faults left out.
    """
    draws = uniforms(seed, iteration, np.array(sample_ids, dtype=np.uint64), _POSITION)
    passes = [i for i, outcome in enumerate(outcomes) if outcome.passed and draws[i] < share]
    chosen = [(again, completions[i]) for i in passes if (again := prompts[i].retest) is not None]
    if not chosen:
        return Retest(0, 0)
    with executor.grading() as grading:
        for again, completion in chosen:
            grading.add(Submission(task=again.task, completion=completion))
        judged = [outcome for outcome in grading.outcomes() if outcome.status is not Status.INFRA]
    return Retest(len(judged), sum(not outcome.passed for outcome in judged))
