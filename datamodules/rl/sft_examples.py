"""Examples of supervised fine-tuning for reinforcement learning: a minibatch per optimizer step, with its rollouts.

Which examples a step has is a function of (seed, step), so that a resumed run has the same. No loss is computed here.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from datamodules.batches import RolloutBatch
from datamodules.encoding.packing import Sample, pack
from datamodules.encoding.prompt_format import encode_completions, encode_prompts
from datamodules.sampler import MixtureSampler, check_repeat, repeat_depths

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SFTExamplesConfig:
    """Where the examples come from.

    Args:
        split: Split with prompts and reference solutions, e.g. `synthetic_train`; `train` of a task file.
        batch_size: Examples per optimizer step, over all ranks.
        max_length: Most tokens of an example; longer ones are left out, with a warning.
        repeat: {depth: number}: How often examples of a depth occur in a pass over the split; null = once.
    """

    split: str
    batch_size: int = 32
    max_length: int = 512
    repeat: dict[int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"sft_examples.{name} is {getattr(self, name)}: at least 1 is needed")
        check_repeat(self.repeat, "sft_examples")


class SFTExamples:
    """The examples of every optimizer step.

    Args:
        config: Sizes.
        table: Of the split, with `prompt` and `solution`, for `repeat` also `depth`; rows without a solution are left
            out.
        tokenizer: Of the policy, with its prompt format.
        seed: Of the order.

    Raises:
        ValueError: No row has a solution and fits `max_length`, or none has a depth of `repeat`.
    """

    def __init__(self, config: SFTExamplesConfig, table: Any, tokenizer: PreTrainedTokenizerBase, *, seed: int) -> None:
        table = table.select(repeat_depths(range(len(table)), table, config.repeat, "sft_examples"))
        pairs = [(p, s) for p, s in zip(table["prompt"], table["solution"], strict=True) if s]
        prompts = encode_prompts(tokenizer, [prompt for prompt, _ in pairs])
        completions = encode_completions(tokenizer, [solution for _, solution in pairs])
        encoded = [Sample(*ids) for ids in zip(prompts, completions, strict=True)]
        self.config = config
        self._samples = [sample for sample in encoded if sample.num_tokens() <= config.max_length]
        if not self._samples:
            raise ValueError(f"sft_examples: {config.split} has no solution of at most {config.max_length} tokens")
        if dropped := len(encoded) - len(self._samples):
            _log.warning("sft_examples: %d of %d examples are longer than max_length", dropped, len(encoded))
        pad_id = tokenizer.pad_token_id
        assert isinstance(pad_id, int)
        self._pad_id = pad_id
        sizes = {config.split: len(self._samples)}
        self._sampler = MixtureSampler(sizes, {config.split: 1.0}, batch_size=config.batch_size, seed=f"{seed}, sft")

    def attach(
        self,
        batches: Sequence[RolloutBatch],
        *,
        first_step: int,
        num_micro_batches: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> list[RolloutBatch]:
        """Give the micro-batches of an iteration that train the policy their examples.

        Args:
            batches: Of this rank, `num_micro_batches` for each optimizer step, those of the critic first.
            first_step: Optimizer steps of the policy before this iteration.
            num_micro_batches: Micro-batches that the examples of a step are divided into.
            rank: This rank.
            world_size: Ranks that they are divided among; together at most `batch_size`.
        """
        attached = [batch for batch in batches if batch.trains_critic]
        for number, batch in enumerate(batches[len(attached) :]):
            step, part = divmod(number, num_micro_batches)
            mine = self._draw(first_step + step)[rank::world_size]
            num_labels = sum(len(sample.completion_ids) for sample in mine)
            packed = pack(mine[part::num_micro_batches], max_length=self.config.max_length, pad_id=self._pad_id)
            share = torch.tensor(num_labels / num_micro_batches)
            attached.append(batch._replace(sft=packed, num_sft_labels=share))
        return attached

    def count_tokens(self, num_steps: int) -> int:
        """Count the tokens of the first steps, prompts and solutions, over all ranks."""
        return sum(sample.num_tokens() for step in range(num_steps) for sample in self._draw(step))

    def _draw(self, step: int) -> list[Sample]:
        return [self._samples[index] for _, index in self._sampler.batch(step)]
