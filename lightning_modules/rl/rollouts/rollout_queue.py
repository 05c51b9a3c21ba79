"""Samples the rollouts of the next iterations in another thread while the policy is trained.

With a staleness of k, the rollouts of iteration i are sampled by the policy at the start of iteration i - k (of
iteration 0 for the first k), whatever takes longer, sampling or training. So the policy that samples is a function of
the iteration, and a run that is resumed from a checkpoint, which holds the weights of the policies that sample, samples
the same rollouts again. Nothing here communicates between ranks.
"""

import copy
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, NamedTuple, TypeVar

from transformers import PreTrainedModel

T = TypeVar("T")


class PolicySnapshot(NamedTuple):
    """A copy of the policy."""

    version: int
    """Iterations that it was trained for."""
    causal_lm: PreTrainedModel


class SamplingCancelledError(Exception):
    """The queue was closed while rollouts were sampled."""


class RolloutQueue(Generic[T]):
    """The rollouts of the present iteration and of the next `staleness` ones.

    Args:
        staleness: Iterations by which sampling is ahead of training.
        sample: Samples the rollouts of an iteration with a policy, in another thread. It calls `check_open` now and
            then, so that `close` does not wait for its end.
    """

    def __init__(self, staleness: int, sample: Callable[[PolicySnapshot, int], T]) -> None:
        self._staleness = staleness
        self._sample = sample
        self._snapshots: dict[int, PolicySnapshot] = {}
        self._futures: dict[int, Future[T]] = {}
        self._is_closed = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rollouts")

    def advance(self, iteration: int, take_snapshot: Callable[[], PolicySnapshot], end: int | None) -> None:
        """Start to sample up to iteration `iteration + staleness`, those after the present ones with a new snapshot.

        Args:
            iteration: The one that is trained next.
            take_snapshot: Copies the policy.
            end: Number of iterations of the run; later ones are not sampled. None = no end.
        """
        last = iteration + self._staleness
        new = [number for number in range(iteration, last + 1) if number not in self._snapshots]
        if new:
            self._snapshots |= dict.fromkeys(new, take_snapshot())
        for number, snapshot in sorted(self._snapshots.items()):
            if number not in self._futures and (end is None or number < end):
                self._futures[number] = self._thread.submit(self._sample, snapshot, number)

    def take(self, iteration: int) -> T:
        """Wait for the rollouts of an iteration.

        Raises:
            Exception: The one that ended the sampling.
        """
        rollouts = self._futures.pop(iteration).result()
        del self._snapshots[iteration]
        return rollouts

    def check_open(self) -> None:
        """Return while the queue is open.

        Raises:
            SamplingCancelledError: It was closed.
        """
        if self._is_closed.is_set():
            raise SamplingCancelledError

    def close(self) -> None:
        """Cancel what is sampled, and wait until that has ended."""
        self._is_closed.set()
        self._thread.shutdown(cancel_futures=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the policies that sample the next iterations, without those rollouts."""
        versions = {number: snapshot.version for number, snapshot in self._snapshots.items()}
        weights = {snapshot.version: snapshot.causal_lm.state_dict() for snapshot in self._snapshots.values()}
        return {"versions": versions, "weights": weights}

    def load_state_dict(self, state: dict[str, Any], structure: PreTrainedModel) -> None:
        """Restore the policies that sample the next iterations; `advance` samples those again.

        Args:
            state: Of `state_dict`.
            structure: A model whose weights are replaced, in copies of it.
        """
        snapshots = {}
        for version, weights in state["weights"].items():
            causal_lm = copy.deepcopy(structure)
            causal_lm.load_state_dict(weights)
            snapshots[version] = PolicySnapshot(version, causal_lm)
        self._snapshots = {number: snapshots[version] for number, version in state["versions"].items()}
