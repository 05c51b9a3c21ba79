"""The checks of `benchmarks.gpu`: each yields measured numbers and statements that hold or not."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch


class Line(NamedTuple):
    """One line of the table."""

    what: str
    value: str
    holds: bool | None = None
    """None = a number without a goal."""


class Sizes(NamedTuple):
    """Sizes of the checks."""

    model: dict[str, int]
    row_tokens: int
    num_rows: int
    num_prompts: int
    prompt_tokens: int
    new_tokens: int
    num_steps: int
    num_iterations: int


Check = Callable[[torch.device, Sizes], Iterator[Line]]
ONE_BILLION = {
    "hidden_size": 2048, "num_hidden_layers": 18, "num_attention_heads": 16, "num_key_value_heads": 8,
    "intermediate_size": 7168, "vocab_size": 32_000,
}  # fmt: skip
TOY = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 96, "vocab_size": 300,
}  # fmt: skip
FULL = Sizes(
    model=ONE_BILLION, row_tokens=2048, num_rows=8, num_prompts=256, prompt_tokens=128, new_tokens=256, num_steps=10,
    num_iterations=20,
)  # fmt: skip
SMOKE = Sizes(
    model=TOY, row_tokens=256, num_rows=2, num_prompts=16, prompt_tokens=16, new_tokens=12, num_steps=3,
    num_iterations=4,
)  # fmt: skip
