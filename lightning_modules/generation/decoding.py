"""From tokens to text.

Completions are decoded together with the end of their prompt, which is then cut off: a decoder that strips the text or
its first token (`Strip`, `Metaspace`: Llama 2, CodeLlama, Mistral v0.1) takes a blank from the beginning of what it is
given, and that of a completion is indentation.
"""

import os
from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

CUT_CHARACTER = "\ufffd"
"""What decoding puts for bytes that are a part of a character."""
_NUM_CONTEXT_TOKENS = 8


def decode(tokenizer: PreTrainedTokenizerFast, token_ids: Sequence[int]) -> str:
    """Decode tokens; special ones, `<eos>` among them, are left out, and blanks before punctuation stay."""
    return str(tokenizer.decode(list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def decode_completion(
    tokenizer: PreTrainedTokenizerFast, prompt_ids: Sequence[int], completion_ids: Sequence[int]
) -> str:
    """Decode a completion as it goes on with its prompt.

    The result is that of decoding the whole prompt, but only its last tokens are decoded: decoders treat each token, or
    run of byte tokens, for itself and change no more than blanks at the beginning and the end of a text. So the
    completion does not depend on what precedes a prompt's tail, if that has a visible character and no part of one; the
    tail grows until it is such, at most to the whole prompt.

    Args:
        tokenizer: of both.
        prompt_ids: the tokens before the completion.
        completion_ids: the tokens to decode.

    Returns:
        The text of the completion. A character that the prompt begins and the completion ends belongs to it whole.
    """
    num_tokens = _NUM_CONTEXT_TOKENS
    while True:
        tail = list(prompt_ids[-num_tokens:])
        before = decode(tokenizer, tail)
        if num_tokens >= len(prompt_ids) or (before.strip() and CUT_CHARACTER not in before):
            break
        num_tokens *= 2
    text = decode(tokenizer, [*tail, *completion_ids])
    return text[len(os.path.commonprefix([before, text])) :]
