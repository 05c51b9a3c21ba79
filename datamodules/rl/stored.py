"""Prompts from the stored tasks of splits, as a function of (seed, iteration, attempt)."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from datamodules.eval_data import build_task_prompts, drop_long_prompts, get_split
from datamodules.rl.reward_tests import RewardTask, build_reward_tasks
from datamodules.sampler import MixtureSampler
from datamodules.sources.task_files import DataSource

_REWARD_COLUMNS = ("solution", "tests", "reward_tests", "domains")


class StoredPrompts:
    """Draws tasks of splits, each in a new order at every pass.

    Args:
        tasks: Tasks by split.
        batch_size: Prompts of an iteration, over all ranks.
        seed: Of the order.
        by_depth: Whether to draw evenly from depths, as a curriculum does, and not in proportion to the tasks.
    """

    def __init__(
        self, tasks: Mapping[str, Sequence[RewardTask]], *, batch_size: int, seed: int, by_depth: bool = False
    ) -> None:
        everything = sorted(itertools.chain(*tasks.values()), key=_get_depth)
        groups = {depth: list(group) for depth, group in itertools.groupby(everything, key=_get_depth)}
        self.depths = tuple(groups)
        """Depths of the tasks, ascending."""
        self._tasks = {_name_depth(depth): group for depth, group in groups.items()} if by_depth else dict(tasks)
        self._batch_size = batch_size
        self._seed = seed
        self._samplers: dict[tuple[int, int], MixtureSampler] = {}

    def draw(self, iteration: int, attempt: int, depths: Sequence[int] | None = None) -> list[RewardTask]:
        """Draw the tasks of an iteration, for all ranks.

        Args:
            iteration: Of reinforcement learning.
            attempt: 0, or 1, 2, ... for further tasks, which have an order of their own.
            depths: Depths to draw from, ascending; None = all.
        """
        sampler = self._get_sampler(attempt, depths)
        return [self._tasks[name][index] for name, index in sampler.batch(iteration)]

    def _get_sampler(self, attempt: int, depths: Sequence[int] | None) -> MixtureSampler:
        depth = 0 if depths is None else depths[-1]
        if (attempt, depth) not in self._samplers:
            sizes = {name: len(tasks) for name, tasks in self._tasks.items()}
            weights: dict[str, float] = dict(sizes)
            if depths is not None:
                weights = {_name_depth(depth): 1.0 for depth in depths}
                sizes = {name: sizes[name] for name in weights}
            seed = self._seed if attempt == depth == 0 else f"{self._seed}, attempt {attempt}, depth {depth}"
            sampler = MixtureSampler(sizes, weights, batch_size=self._batch_size, seed=seed)
            self._samplers[attempt, depth] = sampler
        return self._samplers[attempt, depth]


def load_reward_tasks(
    source: DataSource, dataset: Any, split: str, tokenizer: PreTrainedTokenizerBase, *, max_prompt_length: int | None
) -> list[RewardTask]:
    """Build the tasks of a split, without those of longer prompts.

    Raises:
        ValueError: There is no such split, it has no reward tests, or no prompt is short enough.
    """
    table = get_split(dataset, split, data_dir=source.name)
    prompts = build_task_prompts(table, tokenizer)
    if source.tasks is not None:
        tasks = [RewardTask(prompt) for prompt in prompts]
    else:
        if "reward_tests" not in table.column_names:
            raise ValueError(f"{source.name}, split {split}: column reward_tests is missing")
        columns = [column for column in _REWARD_COLUMNS if column in table.column_names]
        try:
            tasks = build_reward_tasks(table.select_columns(columns).to_list(), prompts)
        except ValueError as error:
            raise ValueError(f"{source.name}, split {split}: {error}") from None
    fitting = drop_long_prompts([task.prompt for task in tasks], max_prompt_length, split=split)
    kept = {id(prompt) for prompt in fitting}
    return [task for task in tasks if id(task.prompt) in kept]


def _get_depth(task: RewardTask) -> int:
    return task.prompt.depth


def _name_depth(depth: int) -> str:
    return f"depth {depth}"
