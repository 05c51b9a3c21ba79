"""Sampling ahead of training (`rollout.staleness` above 0): its requirements, copies of the policy, and the queue.

`lightning_modules.rl.rollouts.rollout_queue` has the order of things. The other thread decodes with a copy of the
policy, and neither changes the policy nor communicates with other ranks.
"""

import copy
import functools
import time
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Trainer

from datamodules.batches import PromptBatch
from lightning_modules.models.policy import Policy
from lightning_modules.models.sharding import get_mesh
from lightning_modules.rl.config import RLConfig
from lightning_modules.rl.rollout import IterationSamples, sample_iteration
from lightning_modules.rl.rollouts.rollout_queue import PolicySnapshot, RolloutQueue
from lightning_modules.rl.rollouts.sampling import RolloutContext


def check_staleness(trainer: Trainer, config: RLConfig) -> None:
    """Check that the completions of an iteration can be sampled while another iteration is trained.

    Raises:
        ValueError: Prompts, strategy or dynamic sampling do not allow it.
    """
    staleness, data = config.rollout.staleness, trainer.datamodule  # type: ignore[attr-defined]
    if staleness == 0:
        return
    start = f"rollout.staleness is {staleness}, but"
    for name in ("curriculum", "fresh_prompts"):
        if getattr(data, f"{name}_config", None) is not None:
            raise ValueError(f"{start} the prompts of data.{name} depend on earlier iterations: use one of the two")
    if get_mesh(trainer.strategy) is not None:
        raise ValueError(
            f"{start} with trainer.strategy fsdp2 all ranks gather weights together: use ddp, or set it to 0"
        )
    if trainer.world_size > 1 and config.algorithm.max_gen_batches > 1:
        raise ValueError(f"{start} with algorithm.max_gen_batches the ranks sample together: use one of the two")
    if trainer.world_size > 1 and config.rollout.engine not in ("native", "transformers"):
        raise ValueError(f"{start} all ranks update rollout.engine {config.rollout.engine} together: set it to 0")


def take_snapshot(policy: Policy, dtype: torch.dtype | None, *, version: int) -> PolicySnapshot:
    """Copy the policy, so that training does not change the copy.

    Args:
        policy: Policy that is trained.
        dtype: Of `Policy.sampling_model`.
        version: Iterations that the policy was trained for.
    """
    causal_lm = policy.sampling_model(dtype)
    trained = {id(parameter) for parameter in policy.causal_lm.parameters()}
    if any(id(parameter) in trained for parameter in causal_lm.parameters()):  # the policy's own, or one that shares
        causal_lm = copy.deepcopy(causal_lm).requires_grad_(False)
    return PolicySnapshot(version, causal_lm)


class SamplingAhead:
    """The samples of the iterations of a run, each sampled `staleness` iterations before it is trained.

    Args:
        staleness: At least 1.
    """

    def __init__(self, staleness: int) -> None:
        self._staleness = staleness
        self._queue: RolloutQueue[IterationSamples] | None = None
        self._state: dict[str, Any] | None = None

    def take(
        self, context: RolloutContext, draw_prompts: Callable[[int, int], PromptBatch], iteration: int, end: int | None
    ) -> IterationSamples:
        """Have the next iterations sampled, and wait for the samples of this one.

        Args:
            context: Policy, engine, executor and settings.
            draw_prompts: Called in the other thread with an iteration and the number of batches drawn in it so far.
            iteration: The one that is trained next.
            end: Number of iterations of the run; None = no end.
        """
        started_at = time.perf_counter()

        def copy_policy() -> PolicySnapshot:
            return take_snapshot(context.policy, context.decoding_dtype, version=context.policy_version)

        if self._queue is None:
            self._queue = _open_queue(context, draw_prompts, self._staleness)
            if self._state is not None:
                self._queue.load_state_dict(self._state, copy_policy().causal_lm)
                self._state = None
        self._queue.advance(iteration, copy_policy, end)
        samples = self._queue.take(iteration)
        return samples._replace(seconds={**samples.seconds, "idle": time.perf_counter() - started_at})

    def cancel(self) -> None:
        """Stop sampling."""
        if self._queue is not None:
            self._queue.close()
            self._queue = None

    def state_dict(self) -> dict[str, Any] | None:
        """Return the policies that sample the next iterations; None before the first."""
        return None if self._queue is None else self._queue.state_dict()

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Restore them, at the next `take`."""
        self._state = state


def _open_queue(
    context: RolloutContext, draw_prompts: Callable[[int, int], PromptBatch], staleness: int
) -> RolloutQueue[IterationSamples]:
    def start_progress(label: str, total: int) -> Callable[[], None]:
        count = context.start_progress(label, total)

        def count_if_open() -> None:
            queue.check_open()
            count()

        return count_if_open

    def sample(snapshot: PolicySnapshot, iteration: int) -> IterationSamples:
        queue.check_open()
        stale = context._replace(policy_version=snapshot.version, start_progress=start_progress)
        return sample_iteration(stale, functools.partial(draw_prompts, iteration), snapshot.causal_lm)

    queue: RolloutQueue[IterationSamples] = RolloutQueue(staleness, sample)
    return queue
