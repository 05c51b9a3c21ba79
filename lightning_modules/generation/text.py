"""Text of completions: decoding of tokens, and stop strings.

Completions are decoded together with the end of their prompt, which is then removed: decoders that strip the text or
its first token (`Strip`, `Metaspace`: Llama 2, CodeLlama, Mistral v0.1) would remove a leading space of the completion,
and in Python that is indentation. A stop string may span several tokens, end within one, or share the bytes of a
character with them. Only tokens that can complete a stop string are decoded during generation.
"""

import os
from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

REPLACEMENT_CHARACTER = "\ufffd"
"""What decoders return for bytes that are a part of a character."""
STOP_MARGIN = 4
"""Characters decoded beyond the longest stop string: the first ones may be a partial character or lack a space."""
_NUM_CONTEXT_TOKENS = 8


def decode(tokenizer: PreTrainedTokenizerFast, token_ids: Sequence[int]) -> str:
    """Decode tokens without special ones such as `<eos>`; spaces before punctuation are kept."""
    return str(tokenizer.decode(list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def decode_completion(
    tokenizer: PreTrainedTokenizerFast, prompt_ids: Sequence[int], token_ids: Sequence[int], stop: Sequence[str] = ()
) -> str:
    """Decode a completion as the continuation of its prompt, up to the first stop string.

    The result equals that of decoding the whole prompt, but only its last tokens are decoded. Decoders treat tokens, or
    runs of byte tokens, independently and change only spaces at the beginning and the end of a text. The completion
    therefore does not depend on the text before a suffix of the prompt that has a visible character and no partial one;
    the suffix is doubled until that holds.

    Args:
        tokenizer: Of prompt and completion.
        prompt_ids: Tokens before the completion.
        token_ids: Tokens of the completion.
        stop: Stop strings.

    Returns:
        The text. A character that the prompt begins and the completion ends belongs to the completion.
    """
    num_tokens = _NUM_CONTEXT_TOKENS
    while True:
        suffix = list(prompt_ids[-num_tokens:])
        before = decode(tokenizer, suffix)
        if num_tokens >= len(prompt_ids) or (before.strip() and REPLACEMENT_CHARACTER not in before):
            break
        num_tokens *= 2
    text = decode(tokenizer, [*suffix, *token_ids])
    return cut_at_stop(text[len(os.path.commonprefix([before, text])) :], stop)


def cut_at_stop(text: str, strings: Sequence[str]) -> str:
    """Return the text before the first stop string, or all of it."""
    return text[: min((start for start in map(text.find, strings) if start >= 0), default=len(text))]


class StopStrings:
    """Detects stop strings at the end of token sequences.

    Args:
        tokenizer: Of the completions.
        strings: Stop strings, none empty.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, strings: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._strings = tuple(strings)
        self._num_characters = max(map(len, self._strings), default=0) + STOP_MARGIN
        self._anchor = tokenizer.encode("a", add_special_tokens=False)
        self._may_match: dict[int, bool] = {}

    def may_match(self, token_id: int) -> bool:
        """Whether a stop string may be complete with this token."""
        known = self._may_match.get(token_id)
        if known is None:
            piece = self._decode_after_anchor(token_id)
            known = any(_can_complete(piece, string) for string in self._strings)
            self._may_match[token_id] = known
        return known

    def matches_suffix(self, token_ids: Sequence[int]) -> bool:
        """Whether the last characters of a completion contain a stop string; decodes as few tokens as possible."""
        num_tokens = self._num_characters
        while True:
            text = decode(self._tokenizer, token_ids[-num_tokens:])
            if any(string in text for string in self._strings):
                return True
            if num_tokens >= len(token_ids) or len(text) >= self._num_characters:
                return False
            num_tokens *= 2  # some tokens have no text, others a part of a character

    def _decode_after_anchor(self, token_id: int) -> str:
        """Decode a token after another one, because tokenizers drop the space of a first token."""
        return decode(self._tokenizer, [*self._anchor, token_id])[len(decode(self._tokenizer, self._anchor)) :]


def _can_complete(piece: str, string: str) -> bool:
    """Whether a text that ends with `piece` may contain `string` although the text without `piece` does not."""
    if string in piece or any(piece.startswith(string[split:]) for split in range(1, len(string))):
        return True
    return piece.startswith(REPLACEMENT_CHARACTER) and not string.isascii()
