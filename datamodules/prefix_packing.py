"""Packs answers so that a prompt is read once for all of its answers in a minibatch.

A row holds families, one behind the other: the prompt without its last token, then a *branch* for each answer, made of
that last token and the answer. A branch sees the prompt and itself, as it would alone; positions go on from the prompt.
The copy of the last token predicts the first token of an answer, so position t predicts token t + 1 everywhere.

Shapes: `R` rows, `T` tokens of a row, `N` answers. It builds no attention mask.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.packing import MIN_ROW_LENGTH, first_fit


class PackedAnswers(NamedTuple):
    """`N` answers in `R` rows; `places[i]` is row and column of the prediction of the first token of answer i."""

    input_ids: Tensor
    """[R, T] long"""
    position_ids: Tensor
    """[R, T] long"""
    segment_ids: Tensor
    """[R, T] long, 0 = padding, else the family within the row"""
    branch_ids: Tensor
    """[R, T] long, 0 = prompt, else the answer within the family"""
    places: list[tuple[int, int]]


class _Family(NamedTuple):
    prompt: Sequence[int]
    answers: list[int]
    """Numbers of the answers."""


def pack_answers(prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], *, pad_id: int) -> PackedAnswers:
    """Pack into rows that are no longer than the longest prompt with its answer (or `MIN_ROW_LENGTH`).

    Args:
        prompts: N token lists, none empty.
        answers: N token lists, none empty.
        pad_id: token behind the last family of a row.
    """
    longest = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True))
    capacity = max(MIN_ROW_LENGTH, longest)
    families = _families(prompts, answers, capacity)
    lengths = [_length(family, answers) for family in families]
    rows = first_fit(lengths, capacity)
    shape = (len(rows), max(sum(lengths[number] for number in row) for row in rows))
    input_ids = torch.full(shape, pad_id, dtype=torch.long)
    position_ids, segment_ids, branch_ids = (torch.zeros(shape, dtype=torch.long) for _ in range(3))
    places = [(0, 0)] * len(answers)
    for r, row in enumerate(rows):
        start = 0
        for segment, number in enumerate(row, start=1):
            *shared, last = families[number].prompt
            parts = [(shared, 0), *(([last, *answers[i]], len(shared)) for i in families[number].answers)]
            for branch, (tokens, position) in enumerate(parts):
                end = start + len(tokens)
                input_ids[r, start:end] = torch.tensor(tokens)
                position_ids[r, start:end] = torch.arange(position, position + len(tokens))
                segment_ids[r, start:end] = segment
                branch_ids[r, start:end] = branch
                if branch > 0:
                    places[families[number].answers[branch - 1]] = (r, start)
                start = end
    return PackedAnswers(input_ids, position_ids, segment_ids, branch_ids, places)


def _families(prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], capacity: int) -> list[_Family]:
    """Group the answers by prompt; a family that outgrows a row is followed by another of the same prompt."""
    families: list[_Family] = []
    newest: dict[tuple[int, ...], _Family] = {}
    for i, prompt in enumerate(prompts):
        key = tuple(prompt)
        family = newest.get(key)
        if family is None or _length(family, answers) + 1 + len(answers[i]) > capacity:
            family = newest[key] = _Family(prompt, [])
            families.append(family)
        family.answers.append(i)
    return families


def _length(family: _Family, answers: Sequence[Sequence[int]]) -> int:
    return len(family.prompt) - 1 + sum(1 + len(answers[i]) for i in family.answers)
