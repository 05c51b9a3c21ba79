"""Which tasks make up the minibatch of a step: a pure function of the mixture, the seed and the step.

Nothing here remembers earlier steps, so a resumed run makes exactly the same draws, and every rank can work
out the whole minibatch before it takes its share.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from datamodules.seeding import permutation


@dataclass(frozen=True, kw_only=True)
class MixturePart:
    """How one split takes part in training.

    Attributes:
        count: distinct tasks used, chosen by the seed so that a larger count contains a smaller one; null = all.
        weight: share of the draws, relative to the other parts; null in every part = in proportion to their tasks.
        repeat: {depth: number}: how often tasks of a depth occur in a pass over the split; null = once.
    """

    count: int | None = None
    weight: float | None = None
    repeat: dict[int, int] | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"mixture: count is {self.count}, at least 1 is needed (leave the split out for none)")
        if self.weight is not None and not (self.weight > 0 and math.isfinite(self.weight)):
            raise ValueError(f"mixture: weight is {self.weight}, it must be positive (leave the split out for none)")
        check_repeat(self.repeat, "mixture")


def choose_tasks(part: MixturePart, num_tasks: int, *, seed: int, split: str) -> list[int]:
    """Row numbers of the tasks of a split that take part, ascending.

    Raises:
        ValueError: the split has fewer than `part.count` tasks.
    """
    if part.count is None:
        return list(range(num_tasks))
    if part.count > num_tasks:
        raise ValueError(f"mixture: {split} has {num_tasks} tasks, count asks for {part.count}")
    return sorted(permutation(num_tasks, "choose", seed, split)[: part.count].tolist())


def check_repeat(repeat: Mapping[int, int] | None, key: str) -> None:
    """Check {depth: number}.

    Raises:
        ValueError: a depth or number below 1; the message begins with `key`.
    """
    for depth, number in (repeat or {}).items():
        if depth < 1 or number < 1:
            raise ValueError(f"{key}: repeat has {depth}: {number}, both must be at least 1")


def repeat_depths(rows: Sequence[int], table: Any, repeat: Mapping[int, int] | None, key: str) -> list[int]:
    """Repeat the row numbers of tasks by depth.

    Args:
        rows: row numbers.
        table: the data set they belong to, with a column `depth`.
        repeat: {depth: number}; rows of other depths occur once.
        key: what the messages of errors begin with.

    Raises:
        ValueError: there is no depth, or no row of one in `repeat`.
    """
    if not repeat:
        return list(rows)
    if "depth" not in table.column_names:
        raise ValueError(f"{key} has repeat, but its rows have no depth")
    depths = table["depth"]
    if missing := sorted(set(repeat) - {depths[row] for row in rows}):
        raise ValueError(f"{key} has repeat of depth {missing[0]}, of which there is no task")
    return [row for row in rows for _ in range(repeat.get(depths[row], 1))]


def compute_sampling_weights(parts: Mapping[str, MixturePart], sizes: Mapping[str, int]) -> dict[str, float]:
    """Share of the draws by split; sums to 1.

    Raises:
        ValueError: some parts have a weight and others have none.
    """
    given = [split for split, part in parts.items() if part.weight is not None]
    if given and len(given) < len(parts):
        missing = ", ".join(sorted(set(parts) - set(given)))
        raise ValueError(f"mixture: {missing} has no weight while others have one; give all a weight or none")
    weights = {split: part.weight if part.weight is not None else sizes[split] for split, part in parts.items()}
    total = sum(weights.values())
    return {split: weight / total for split, weight in weights.items()}


def count_draws_by_source(num_draws: int, weights: Sequence[float]) -> list[int]:
    """How many of the first `num_draws` draws fell on each source; each count only ever grows with `num_draws`.

    Source by source, its rounded share of what the sources before it have left: never a whole draw per source away
    from the exact share, and whole at every step.
    """
    counts = []
    left, weight_left = num_draws, sum(weights)
    for index, weight in enumerate(weights):
        is_last = index == len(weights) - 1
        count = left if is_last else math.floor(left * weight / weight_left + 0.5)
        counts.append(count)
        left -= count
        weight_left -= weight
    return counts


class MixtureSampler:
    """The tasks of every step: each source is gone through in a new order at every pass, sources at their shares."""

    def __init__(
        self, sizes: Mapping[str, int], weights: Mapping[str, float], *, batch_size: int, seed: int | str
    ) -> None:
        self.sizes = dict(sizes)
        self.weights = dict(weights)
        self.batch_size = batch_size
        self.seed = seed
        self._orders: dict[tuple[str, int], np.ndarray] = {}

    def batch(self, step: int) -> list[tuple[str, int]]:
        """(split, number of the task within it) of the `batch_size` draws of global step `step`."""
        shares_in_order = list(self.weights.values())
        before = count_draws_by_source(step * self.batch_size, shares_in_order)
        after = count_draws_by_source((step + 1) * self.batch_size, shares_in_order)
        return [
            (split, self._draw(split, position))
            for split, first, last in zip(self.weights, before, after, strict=True)
            for position in range(first, last)
        ]

    def _draw(self, split: str, position: int) -> int:
        size = self.sizes[split]
        number_of_pass, place = divmod(position, size)
        key = (split, number_of_pass)
        if key not in self._orders:  # a cache of a pure function; two passes at most are ever wanted at a time
            self._orders = {k: v for k, v in self._orders.items() if k[0] != split or k[1] == number_of_pass - 1}
            self._orders[key] = permutation(size, "order", self.seed, split, number_of_pass)
        return int(self._orders[key][place])
