"""A curriculum over the depth of compositions: deeper tasks join when the deepest ones in use are solved often enough.

Lower depths stay in the mix: without easy tasks, RL on hard ones gets no reward (arXiv 2601.15158). The state is the
current depth and the latest pass rates; it is saved in checkpoints. Nothing here draws prompts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class CurriculumConfig:
    """When the next depth joins.

    Args:
        start: Largest depth at the beginning.
        advance_at: Pass rate of the completions at the current depth, from 0 to 1, at which the next depth joins.
        num_iterations: Iterations over which that rate is averaged; the count restarts when a depth joins.
    """

    start: int = 1
    advance_at: float = 0.5
    num_iterations: int = 5

    def __post_init__(self) -> None:
        if self.start < 1:
            raise ValueError(f"curriculum.start is {self.start}; it must be at least 1")
        if not 0.0 < self.advance_at <= 1.0:
            raise ValueError(f"curriculum.advance_at is {self.advance_at}; it must be above 0.0 and at most 1.0")
        if self.num_iterations < 1:
            raise ValueError(f"curriculum.num_iterations is {self.num_iterations}; it must be at least 1")


class DepthCurriculum:
    """The depths in use, as a function of the pass rates so far.

    Args:
        config: When to advance.
        depths: Depths of the tasks.

    Raises:
        ValueError: No task is as shallow as `config.start`.
    """

    def __init__(self, config: CurriculumConfig, depths: Sequence[int]) -> None:
        self._config = config
        self._depths = sorted(set(depths))
        started = [depth for depth in self._depths if depth <= config.start]
        if not started:
            raise ValueError(f"curriculum.start is {config.start}, but the shallowest task has depth {self._depths[0]}")
        self.depth = started[-1]
        """The largest depth in use."""
        self._rates: list[float] = []

    @property
    def depths(self) -> tuple[int, ...]:
        """The depths in use, ascending."""
        return tuple(depth for depth in self._depths if depth <= self.depth)

    def update(self, counts_by_depth: Mapping[int, tuple[int, int]]) -> None:
        """Take the results of an iteration, and let the next depth join if the rate is high enough.

        Args:
            counts_by_depth: Completions that passed and completions that were graded, by depth, over all ranks.
        """
        num_passed, num_graded = counts_by_depth.get(self.depth, (0, 0))
        if num_graded == 0:
            return
        self._rates = [*self._rates, num_passed / num_graded][-self._config.num_iterations :]
        is_ready = len(self._rates) == self._config.num_iterations
        if is_ready and sum(self._rates) / len(self._rates) >= self._config.advance_at:
            deeper = [depth for depth in self._depths if depth > self.depth]
            if deeper:
                self.depth = deeper[0]
                self._rates = []

    def state_dict(self) -> dict[str, Any]:
        return {"depth": self.depth, "rates": list(self._rates)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.depth, self._rates = state["depth"], list(state["rates"])
