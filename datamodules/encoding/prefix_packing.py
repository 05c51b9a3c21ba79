"""Packs completions so that each prompt is computed once for all of its completions in a minibatch.

A row holds prefix groups, one after the other: the prompt without its last token, then a *branch* per completion, which
is that last token followed by the completion. A branch attends to the prompt and to itself; its positions continue
those of the prompt. The copy of the last prompt token predicts the first token of a completion, so position t predicts
token t + 1 everywhere. `scatter` and `gather` move numbers of tokens between completions and rows. This module builds
no attention mask.

Shapes: `R` rows, `T` tokens of a row, `N` completions, `L` tokens of the longest completion.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.encoding.packing import MIN_ROW_LENGTH, first_fit


class PackedCompletions(NamedTuple):
    """`N` completions in `R` rows."""

    input_ids: Tensor
    """[R, T] long"""
    position_ids: Tensor
    """[R, T] long"""
    segment_ids: Tensor
    """[R, T] long, 0 = padding, else the prefix group within the row"""
    branch_ids: Tensor
    """[R, T] long, 0 = prompt, else the completion within the group"""
    offsets: Tensor
    """[N, 2] long, row and column of the position that predicts the first token of a completion"""
    lengths: Tensor
    """[N] long, tokens of each completion"""

    def predicts_completion(self) -> Tensor:
        """Return [R, T-1] bool, True at the positions that predict a token of a completion."""
        return self.scatter(completion_mask(self.lengths))

    def scatter(self, values: Tensor) -> Tensor:
        """Move numbers of the tokens of completions [N, L] to where they are predicted [R, T-1]; 0 elsewhere."""
        num_rows, width = self.input_ids.shape
        rows, columns = self._indices()
        packed = values.new_zeros((num_rows, width - 1))
        packed[rows, columns] = values[completion_mask(self.lengths, values.shape[1])]
        return packed

    def gather(self, packed: Tensor) -> Tensor:
        """Move numbers of predictions [R, T-1] to the tokens of completions [N, L]; 0 behind the end."""
        mask = completion_mask(self.lengths)
        values = packed.new_zeros(mask.shape)
        values[mask] = packed[self._indices()]
        return values

    def to(self, device: torch.device) -> "PackedCompletions":
        """Move the rows to a device; `offsets` and `lengths` stay on the CPU."""
        rows = {name: getattr(self, name).to(device) for name in self._fields[:4]}
        return self._replace(**rows)

    def _indices(self) -> tuple[Tensor, Tensor]:
        """Return row and column of the prediction of each token, completion by completion."""
        within = torch.cat([torch.arange(int(length)) for length in self.lengths])
        rows, starts = self.offsets.repeat_interleave(self.lengths, 0).unbind(1)
        return rows, starts + within


class _PrefixGroup(NamedTuple):
    prompt: Sequence[int]
    members: list[int]
    """Indices of the completions."""


def completion_mask(lengths: Tensor, width: int | None = None) -> Tensor:
    """Return [N, L] bool, True on the tokens of each completion; L is `width` or else the longest length."""
    return torch.arange(int(lengths.max()) if width is None else width) < lengths[:, None]


def pack_completions(
    prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], *, pad_id: int
) -> PackedCompletions:
    """Pack into rows that are no longer than the longest prompt with its completion (or `MIN_ROW_LENGTH`).

    Args:
        prompts: N token lists, none empty.
        completions: N token lists, none empty.
        pad_id: Token after the last group of a row.
    """
    longest = max(len(prompt) + len(completion) for prompt, completion in zip(prompts, completions, strict=True))
    capacity = max(MIN_ROW_LENGTH, longest)
    groups = _group_by_prompt(prompts, completions, capacity)
    lengths = [_count_tokens(group, completions) for group in groups]
    rows = first_fit(lengths, capacity)
    shape = (len(rows), max(sum(lengths[number] for number in row) for row in rows))
    input_ids = torch.full(shape, pad_id, dtype=torch.long)
    position_ids, segment_ids, branch_ids = (torch.zeros(shape, dtype=torch.long) for _ in range(3))
    offsets = torch.zeros((len(completions), 2), dtype=torch.long)
    for r, row in enumerate(rows):
        start = 0
        for segment, number in enumerate(row, start=1):
            *shared, last = groups[number].prompt
            parts = [(shared, 0), *(([last, *completions[i]], len(shared)) for i in groups[number].members)]
            for branch, (tokens, position) in enumerate(parts):
                end = start + len(tokens)
                input_ids[r, start:end] = torch.tensor(tokens)
                position_ids[r, start:end] = torch.arange(position, position + len(tokens))
                segment_ids[r, start:end] = segment
                branch_ids[r, start:end] = branch
                if branch > 0:
                    offsets[groups[number].members[branch - 1]] = torch.tensor([r, start])
                start = end
    num_tokens = torch.tensor([len(completion) for completion in completions])
    return PackedCompletions(input_ids, position_ids, segment_ids, branch_ids, offsets, num_tokens)


def _group_by_prompt(
    prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], capacity: int
) -> list[_PrefixGroup]:
    """Group completions by prompt; when a group would outgrow a row, a new group of the same prompt begins."""
    groups: list[_PrefixGroup] = []
    newest: dict[tuple[int, ...], _PrefixGroup] = {}
    for i, prompt in enumerate(prompts):
        key = tuple(prompt)
        group = newest.get(key)
        if group is None or _count_tokens(group, completions) + 1 + len(completions[i]) > capacity:
            group = newest[key] = _PrefixGroup(prompt, [])
            groups.append(group)
        group.members.append(i)
    return groups


def _count_tokens(group: _PrefixGroup, completions: Sequence[Sequence[int]]) -> int:
    return len(group.prompt) - 1 + sum(1 + len(completions[i]) for i in group.members)
