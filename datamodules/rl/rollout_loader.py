"""The loader that drives an iteration of reinforcement learning: its batches are the minibatches of rollouts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from datamodules.batches import RolloutBatch

if TYPE_CHECKING:
    from datamodules.rl_data import RLDataModule


class RolloutLoader:
    """The minibatches of the current iteration: iteration collects rollouts for the prompts and yields minibatches.

    Args:
        data: Supplies prompts and the sizes of minibatches; its trainer supplies the module that is trained.
    """

    def __init__(self, data: RLDataModule) -> None:
        self._data = data

    def __len__(self) -> int:
        data = self._data
        trainer: Any = data.trainer
        configs = [data.minibatch_config()]
        if trainer is not None:
            configs = trainer.lightning_module.plan_passes(configs[0])
        num_completions = data.prompts_per_iteration * data.samples_per_prompt // (trainer.world_size if trainer else 1)
        return sum(config.count_steps(num_completions) * config.num_micro_batches for config in configs)

    def __iter__(self) -> Iterator[RolloutBatch]:
        trainer = self._data.trainer
        assert trainer is not None
        module: Any = trainer.lightning_module
        iteration = trainer.current_epoch
        batches = module.collect_rollouts(self._data.prompts_for, iteration, self._data.minibatch_config())
        if self._data.curriculum is not None:
            self._data.curriculum.update(batches[0].stats.counts_by_depth)
        yield from self._data.attach_examples(batches, iteration)
