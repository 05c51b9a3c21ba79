"""Logits in parts: the same numbers and gradients, and never many of them at once."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from lightning_modules.models.forward import chunked_logits
from lightning_modules.models.forward.chunked_logits import apply_to_chunked_logits

VOCAB = 50


class Watched(nn.Linear):
    """Notes how many logits are made at once."""

    def __init__(self) -> None:
        super().__init__(8, VOCAB, bias=False)
        self.rows: list[int] = []

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        self.rows.append(len(hidden))
        return super().forward(hidden)


@pytest.fixture
def material():
    torch.manual_seed(0)
    return Watched(), torch.randn(10, 8, requires_grad=True), torch.randint(VOCAB, (10,))


def losses(head, hidden, labels):
    def logits_fn(logits, part):
        with torch.no_grad():
            largest = logits.max(-1).values
        return functional.cross_entropy(logits, labels[part], reduction="none"), largest

    return apply_to_chunked_logits(head, hidden, logits_fn, vocab_size=VOCAB)


@pytest.mark.parametrize(("at_once", "rows"), [(10 * VOCAB, [10]), (4 * VOCAB, [4, 4, 2]), (1, [1] * 10)])
def test_parts_change_neither_values_nor_gradients(material, monkeypatch, at_once, rows):
    head, hidden, labels = material
    logits = functional.linear(hidden, head.weight)
    expected = functional.cross_entropy(logits, labels, reduction="none")
    wanted = torch.autograd.grad(expected.sum(), [hidden, head.weight])
    monkeypatch.setattr(chunked_logits, "MAX_CHUNK_LOGITS", at_once)
    found, largest = losses(head, hidden, labels)
    assert head.rows == rows
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(largest, logits.max(-1).values)
    assert not largest.requires_grad
    for gradient, other in zip(torch.autograd.grad(found.sum(), [hidden, head.weight]), wanted, strict=True):
        torch.testing.assert_close(gradient, other)


def test_without_gradients_nothing_is_computed_twice(material, monkeypatch):
    head, hidden, labels = material
    monkeypatch.setattr(chunked_logits, "MAX_CHUNK_LOGITS", 4 * VOCAB)
    with torch.no_grad():
        losses(head, hidden, labels)
    assert head.rows == [4, 4, 2]
