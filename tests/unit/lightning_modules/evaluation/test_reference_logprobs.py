"""Where reference solutions lose log-probability: lines by hand, and log-probabilities against the model's own."""

import pytest
import torch

from datamodules.encoding.tokenizer import train_tokenizer
from lightning_modules.evaluation.reference_logprobs import (
    END,
    LineSummary,
    Reference,
    compute_logprobs,
    label_lines,
    split_tokens,
    sum_by_line,
    summarize_lines,
)
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm

SOLVE = "def solve(a):\n    x = f(a)\n    y = g(x)\n    return h(y)\n"
WHOLE = f"def f(a):\n    return a\n\n\ndef g(a):\n    return -a\n\n\n{SOLVE}"


class PieceTokenizer:
    """Decodes token i to piece i; the last one is special."""

    def __init__(self, pieces: list[str]) -> None:
        self.pieces = pieces

    def decode(self, ids, *, skip_special_tokens, clean_up_tokenization_spaces) -> str:
        return "".join(self.pieces[i] for i in ids)


def test_labels_by_hand() -> None:
    assert label_lines(SOLVE, "solve") == ["def", "line 1", "line 2", "return", "return"]
    assert label_lines(WHOLE, "solve")[:8] == ["function 1"] * 4 + ["function 2"] * 4
    assert label_lines(WHOLE, "solve")[8:12] == ["def", "line 1", "line 2", "return"]
    assert label_lines("def solve(a): return a\n", "solve") == ["def", "def"]
    assert label_lines("# note\nimport math\n", "solve") == ["function 1"] * 3
    with pytest.raises(ValueError, match="not Python: .* in line 1"):
        label_lines("def (", "solve")


def test_tokens_are_on_the_line_of_their_first_visible_character() -> None:
    pieces = ["def solve(a)", ":", "\n", "    ", "x = f(a)\n", "    y", " = g", "\n    return", " y", "\n", ""]
    tokenizer = PieceTokenizer(pieces)
    assert split_tokens(tokenizer, range(len(pieces))) == [0, 0, 0, 1, 1, 2, 2, 3, 3, 3, None]  # type: ignore[arg-type]


def test_sums_by_line_by_hand() -> None:
    lines = [0, 0, 1, 1, 2, None]
    labels = ["def", "line 1", "return"]
    found = sum_by_line([-1.0, -0.5, -2.0, -0.25, -4.0, -0.125], lines, labels)
    assert found == (("def", -1.5), ("line 1", -2.25), ("return", -4.0), (END, -0.125))


def test_summary_by_hand() -> None:
    references = [
        Reference(task_id="a", depth=2, lines=(("def", -1.0), ("line 1", -3.0), ("return", -2.0), (END, 0.0))),
        Reference(task_id="b", depth=2, lines=(("def", -2.0), ("return", -6.0), (END, 0.0))),
        Reference(task_id="c", depth=3, lines=(("def", -0.5), ("line 10", -1.0), ("line 2", -9.0), (END, -7.0))),
    ]
    found = summarize_lines(references)
    assert found[:4] == [
        LineSummary(depth=2, line="def", num_references=2, mean_logprob=-1.5, lowest_frac=0.0),
        LineSummary(depth=2, line="line 1", num_references=1, mean_logprob=-3.0, lowest_frac=0.5),
        LineSummary(depth=2, line="return", num_references=2, mean_logprob=-4.0, lowest_frac=0.5),
        LineSummary(depth=2, line=END, num_references=2, mean_logprob=0.0, lowest_frac=0.0),
    ]
    assert [(row.line, row.lowest_frac) for row in found[4:]] == [
        ("def", 0.0),
        ("line 2", 1.0),
        ("line 10", 0.0),
        (END, 0.0),
    ]


def test_logprobs_do_not_depend_on_the_batch(tmp_path) -> None:
    tokenizer = train_tokenizer([SOLVE], 300, tmp_path / "tokenizer")
    sizes = TinyLlamaConfig(hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=16)
    model = build_causal_lm(sizes, tokenizer, 0)
    sequences = [([1, 5, 6], [7, 8, 9, 2]), ([1], [4]), ([1, 9], [3, 3])]
    found = compute_logprobs(model, sequences, batch_size=2)
    for (prompt, completion), logprobs in zip(sequences, found, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
        expected = [float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(completion)]
        assert logprobs == pytest.approx(expected, abs=1e-5)
