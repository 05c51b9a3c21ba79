"""Log-probabilities of reference solutions, line by line: where a model that fails a task would leave its solution.

`compute_logprobs` runs the model; everything else is pure. Nothing is sampled or executed.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from executor.syntax import parse_module
from lightning_modules.generation.text import decode
from lightning_modules.models.policy import Policy
from lightning_modules.rl.objectives.numerics import token_logprobs

END = "end"
"""Label of the `<eos>` token."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A reference solution with the log-probability of each of its lines, nats, by label in order."""

    task_id: str
    depth: int
    lines: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class LineSummary:
    """A line over all references of a depth."""

    depth: int
    line: str
    num_references: int
    """References that have the line."""
    mean_logprob: float
    """Of the whole line, nats; mean over these references."""
    lowest_frac: float
    """Fraction of all references of the depth whose lowest line this is."""


def compute_logprobs(
    causal_lm: PreTrainedModel, sequences: Sequence[tuple[Sequence[int], Sequence[int]]], *, batch_size: int = 32
) -> list[list[float]]:
    """Compute the log-probability of each completion token, nats, at temperature 1.

    Args:
        causal_lm: the model, on its device.
        sequences: (prompt ids, completion ids), both not empty.
        batch_size: sequences of a forward pass.
    """
    order = sorted(range(len(sequences)), key=lambda index: sum(map(len, sequences[index])))
    found: list[list[float]] = [[] for _ in sequences]
    policy = Policy(causal_lm)
    with torch.inference_mode(), torch.autocast(causal_lm.device.type, enabled=False):
        for first in range(0, len(order), batch_size):
            indices = order[first : first + batch_size]
            for index, logprobs in zip(indices, _compute_batch(policy, [sequences[i] for i in indices]), strict=True):
                found[index] = logprobs
    return found


def _compute_batch(policy: Policy, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
    length = max(len(prompt) + len(completion) for prompt, completion in sequences)
    input_ids = torch.zeros(len(sequences), length, dtype=torch.long)
    is_token, predicts = torch.zeros_like(input_ids), torch.zeros_like(input_ids, dtype=torch.bool)
    for row, (prompt, completion) in enumerate(sequences):
        end = len(prompt) + len(completion)
        input_ids[row, :end] = torch.tensor([*prompt, *completion])
        is_token[row, :end] = 1
        predicts[row, len(prompt) - 1 : end - 1] = True
    device = policy.causal_lm.device
    targets = torch.cat([torch.tensor(list(completion)) for _, completion in sequences]).to(device)

    def take_logprobs(logits: Tensor, chunk: slice) -> tuple[Tensor]:
        return (token_logprobs(logits, targets[chunk]),)

    positions = torch.arange(length, device=device).expand_as(input_ids)
    (logprobs,), _ = policy(input_ids.to(device), is_token.to(device), positions, predicts.to(device), take_logprobs)
    return [part.tolist() for part in logprobs.cpu().split([len(completion) for _, completion in sequences])]


def split_tokens(tokenizer: PreTrainedTokenizerFast, token_ids: Sequence[int]) -> list[int | None]:
    """Find the line of each token, from 0; None for special tokens such as `<eos>`.

    A token is on the line of its first visible character; without one, on the line it starts on.
    """
    line, found = 0, []
    for token_id in token_ids:
        text = decode(tokenizer, [token_id])
        visible = len(text) - len(text.lstrip())
        ahead = text[:visible].count("\n") if visible < len(text) else 0
        found.append(line + ahead if text else None)
        line += text.count("\n")
    return found


def label_lines(source: str, entry_point: str) -> list[str]:
    """Name the lines of a program: `def` and `line 1`, `line 2`, ... of the entry point, its last line `return`.

    Lines of the other top-level statements are `function 1`, `function 2`, ..., one label for each statement.

    Raises:
        ValueError: the source is not Python.
    """
    try:
        body = parse_module(source).body
    except SyntaxError as error:
        raise ValueError(f"a reference solution is not Python: {error.msg} in line {error.lineno}") from None
    labels = [""] * (source.count("\n") + 1)
    others = 0
    for statement in body:
        last = statement.end_lineno or statement.lineno
        lines = range(statement.lineno - 1, last)
        if isinstance(statement, ast.FunctionDef) and statement.name == entry_point:
            names = ["def", *(f"line {number}" for number in range(1, len(lines) - 1)), "return"][: len(lines)]
        else:
            others += 1
            names = [f"function {others}"] * len(lines)
        for index, name in zip(lines, names, strict=True):
            labels[index] = name
    current = next((label for label in labels if label), "")
    return [current := label or current for label in labels]  # an empty line or comment belongs to what precedes it


def sum_by_line(
    logprobs: Sequence[float], token_lines: Sequence[int | None], labels: Sequence[str]
) -> tuple[tuple[str, float], ...]:
    """Add up the log-probabilities of the tokens by label, in the order of the text.

    Args:
        logprobs: of each token, nats.
        token_lines: from `split_tokens`.
        labels: from `label_lines`.
    """
    sums: dict[str, float] = {}
    for logprob, line in zip(logprobs, token_lines, strict=True):
        label = END if line is None else labels[min(line, len(labels) - 1)]
        sums[label] = sums.get(label, 0.0) + logprob
    return tuple(sums.items())


def summarize_lines(references: Sequence[Reference]) -> list[LineSummary]:
    """Summarize each line over the references of a depth, by depth and in the order of the longest program."""
    rows = []
    for depth in sorted({reference.depth for reference in references}):
        group = [reference for reference in references if reference.depth == depth]
        lowest = [min(reference.lines, key=lambda line: line[1])[0] for reference in group]
        values: dict[str, list[float]] = {}
        for reference in group:
            for label, logprob in reference.lines:
                values.setdefault(label, []).append(logprob)
        rows += [
            LineSummary(
                depth=depth,
                line=label,
                num_references=len(values[label]),
                mean_logprob=sum(values[label]) / len(values[label]),
                lowest_frac=lowest.count(label) / len(group),
            )
            for label in sorted(values, key=_place)
        ]
    return rows


def _place(label: str) -> tuple[int, int]:
    """Return the place of a label in a program."""
    kind, _, number = label.partition(" ")
    return (["function", "def", "line", "return", END].index(kind), int(number or 0))
