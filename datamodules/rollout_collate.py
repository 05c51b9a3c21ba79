"""Packs judged responses into minibatches, in an order that is a function of (seed, iteration).

Shapes: `R` packed rows, `T` tokens of a row.
"""

from collections.abc import Sequence

import torch

from datamodules.batches import RolloutBatch, RolloutSample
from datamodules.prefix_packing import pack_answers
from datamodules.seeding import permutation

TOKEN_NUMBERS = ("loss_mask", "old_logprobs", "ref_logprobs", "values", "advantages", "returns")


def plan_minibatches(
    num_samples: int, minibatch_size: int, *, samples_per_prompt: int, num_epochs: int, seed: int, iteration: int
) -> list[list[int]]:
    """Split the samples into minibatches, every epoch with the prompts in an order of its own.

    The samples of a prompt stay side by side, so that it is read once for all that meet in a minibatch.

    Returns:
        `num_epochs * ceil(num_samples / minibatch_size)` lists of sample numbers.
    """
    plan = []
    for epoch in range(num_epochs):
        prompts = permutation(num_samples // samples_per_prompt, "minibatches", seed, iteration, epoch).tolist()
        order = [prompt * samples_per_prompt + copy for prompt in prompts for copy in range(samples_per_prompt)]
        plan += [order[first : first + minibatch_size] for first in range(0, num_samples, minibatch_size)]
    return plan


def split_minibatch(samples: Sequence[RolloutSample], num_parts: int, *, pad_id: int) -> list[RolloutBatch]:
    """Collate the samples of one optimizer step as `num_parts` micro-batches whose losses average to that of the whole.

    Lightning divides the loss of each by their number, so each is divided by that share of the tokens of all.
    """
    num_tokens = sum(int(sample.loss_mask.sum()) for sample in samples) / num_parts
    size = -(-len(samples) // num_parts)
    parts = [samples[first : first + size] for first in range(0, len(samples), size)]
    assert len(parts) == num_parts
    return [collate_rollouts(part, pad_id=pad_id, num_tokens=num_tokens) for part in parts]


def collate_rollouts(samples: Sequence[RolloutSample], *, pad_id: int, num_tokens: float) -> RolloutBatch:
    """Pack into rows, and put the numbers of each response where its tokens are predicted."""
    packed = pack_answers(
        [sample.prompt_ids.tolist() for sample in samples],
        [sample.response_ids.tolist() for sample in samples],
        pad_id=pad_id,
    )
    num_rows, width = packed.input_ids.shape
    numbers = {
        name: torch.zeros((num_rows, width - 1), dtype=getattr(samples[0], name).dtype) for name in TOKEN_NUMBERS
    }
    for sample, (row, first) in zip(samples, packed.places, strict=True):
        for name, target in numbers.items():
            target[row, first : first + len(sample.response_ids)] = getattr(sample, name)
    return RolloutBatch(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        segment_ids=packed.segment_ids,
        branch_ids=packed.branch_ids,
        **numbers,
        num_tokens=torch.tensor(num_tokens, dtype=torch.float32),
    )
