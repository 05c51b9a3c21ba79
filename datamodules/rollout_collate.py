"""Puts judged responses into padded minibatches, in an order that is a function of (seed, iteration).

Shapes: `B` samples, `T` tokens of a row, `L` tokens of a response.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from datamodules.batches import RolloutBatch, RolloutSample
from datamodules.mixture import permutation


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
    """Pad on the right and shift the numbers of each response to the positions that predict its tokens."""
    rows = [torch.cat([sample.prompt_ids, sample.response_ids]) for sample in samples]
    width = max(len(row) for row in rows)
    input_ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    attention_mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        input_ids[i, : len(row)] = row
        attention_mask[i, : len(row)] = 1

    def placed(name: str) -> Tensor:
        first: Tensor = getattr(samples[0], name)
        result = torch.zeros((len(rows), width - 1), dtype=first.dtype)
        for i, sample in enumerate(samples):
            start = len(sample.prompt_ids) - 1
            result[i, start : start + len(sample.response_ids)] = getattr(sample, name)
        return result

    return RolloutBatch(
        input_ids=input_ids,
        attention_mask=attention_mask,
        loss_mask=placed("loss_mask"),
        old_logprobs=placed("old_logprobs"),
        ref_logprobs=placed("ref_logprobs"),
        values=placed("values"),
        advantages=placed("advantages"),
        returns=placed("returns"),
        num_tokens=torch.tensor(num_tokens, dtype=torch.float32),
    )
