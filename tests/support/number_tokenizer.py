"""A tokenizer for models without text: a token is spelled as its number and a space."""

from collections.abc import Sequence
from typing import Any


class NumberTokenizer:
    def __init__(self, *, eos_id: int, pad_id: int) -> None:
        self.eos_token_id, self.pad_token_id = eos_id, pad_id

    def decode(self, token_ids: Sequence[int], **_: Any) -> str:
        return "".join(f"{token_id} " for token_id in token_ids if token_id not in (self.eos_token_id, 0))
