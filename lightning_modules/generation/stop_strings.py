"""Texts at which a completion ends: found while it is written, and cut off when it is read.

A stop string may span several tokens, end within one, or share the bytes of a character among them. Only tokens that
can complete one cause any decoding.
"""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from lightning_modules.generation.decoding import CUT_CHARACTER, decode

MARGIN = 4
"""Characters decoded beyond the longest stop string: the first ones may be a cut character or lack a space."""


class StopStrings:
    """Watches completions for the first of some texts.

    Args:
        tokenizer: of the completions.
        strings: none empty.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, strings: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._strings = tuple(strings)
        self._num_looked_at = max(map(len, self._strings), default=0) + MARGIN
        self._anchor = tokenizer.encode("a", add_special_tokens=False)
        self._can_end_with: dict[int, bool] = {}

    def can_end_with(self, token_id: int) -> bool:
        """Say whether a stop string may be complete once this token is written; it is asked of every token."""
        known = self._can_end_with.get(token_id)
        if known is None:
            piece = self._piece(token_id)
            known = any(_can_complete(piece, string) for string in self._strings)
            self._can_end_with[token_id] = known
        return known

    def is_in_end_of(self, token_ids: Sequence[int]) -> bool:
        """Say whether the end of a completion has a stop string; it looks back no further than needed."""
        num_tokens = self._num_looked_at
        while True:
            text = decode(self._tokenizer, token_ids[-num_tokens:])
            if any(string in text for string in self._strings):
                return True
            if num_tokens >= len(token_ids) or len(text) >= self._num_looked_at:
                return False
            num_tokens *= 2  # some tokens have no text, others a part of a character

    def _piece(self, token_id: int) -> str:
        """Return the text of a token after another one, as tokenizers drop the space of a first token."""
        return decode(self._tokenizer, [*self._anchor, token_id])[len(decode(self._tokenizer, self._anchor)) :]


def cut_at_stop(text: str, strings: Sequence[str]) -> str:
    """Return what stands before the first stop string, or all of it where there is none."""
    return text[: min((place for place in map(text.find, strings) if place >= 0), default=len(text))]


def _can_complete(piece: str, string: str) -> bool:
    """Whether a text that ends before `piece` may hold `string` with it, but not without it."""
    if string in piece or any(piece.startswith(string[split:]) for split in range(1, len(string))):
        return True
    return piece.startswith(CUT_CHARACTER) and not string.isascii()
