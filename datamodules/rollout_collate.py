"""Packs judged responses into minibatches, in an order that is a function of (seed, iteration).

Shapes: `R` packed rows, `T` tokens of a row.
"""

from collections.abc import Sequence

import torch

from datamodules.batches import RolloutBatch, RolloutSample
from datamodules.mixture import permutation
from datamodules.packing import SHORT_ROW, first_fit

TOKEN_NUMBERS = ("loss_mask", "old_logprobs", "ref_logprobs", "values", "advantages", "returns")


def plan_minibatches(
    num_samples: int, minibatch_size: int, *, num_epochs: int, seed: int, iteration: int
) -> list[list[int]]:
    """Split the samples into minibatches, every epoch in an order of its own.

    Returns:
        `num_epochs * ceil(num_samples / minibatch_size)` lists of sample numbers.
    """
    plan = []
    for epoch in range(num_epochs):
        order = permutation(num_samples, "minibatches", seed, iteration, epoch).tolist()
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
    """Pack into rows, and shift the numbers of each response to the positions that predict its tokens."""
    lengths = [len(sample.prompt_ids) + len(sample.response_ids) for sample in samples]
    rows = first_fit(lengths, max(SHORT_ROW, *lengths, 0))
    width = max(sum(lengths[i] for i in row) for row in rows)
    shape = (len(rows), width)
    input_ids = torch.full(shape, pad_id, dtype=torch.long)
    position_ids = torch.zeros(shape, dtype=torch.long)
    segment_ids = torch.zeros(shape, dtype=torch.long)
    numbers = {
        name: torch.zeros((len(rows), width - 1), dtype=getattr(samples[0], name).dtype) for name in TOKEN_NUMBERS
    }
    for r, row in enumerate(rows):
        start = 0
        for segment, i in enumerate(row, start=1):
            sample, end = samples[i], start + lengths[i]
            input_ids[r, start:end] = torch.cat([sample.prompt_ids, sample.response_ids])
            position_ids[r, start:end] = torch.arange(lengths[i])
            segment_ids[r, start:end] = segment
            first = start + len(sample.prompt_ids) - 1
            for name, target in numbers.items():
                target[r, first : end - 1] = getattr(sample, name)
            start = end
    return RolloutBatch(
        input_ids=input_ids,
        position_ids=position_ids,
        segment_ids=segment_ids,
        **numbers,
        num_tokens=torch.tensor(num_tokens, dtype=torch.float32),
    )
