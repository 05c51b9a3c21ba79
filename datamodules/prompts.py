"""The one token layout of the project: `<bos>` prompt, a new line, completion, `<eos>`.

Training, sampling and evaluation all build their ids here, so that a prompt is the same ids everywhere. No chat
template is applied. A tokenizer without a begin-of-text token simply has none in front.
"""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Ids of `<bos>`, the prompt and its closing new line."""
    return encode_prompts(tokenizer, [prompt])[0]


def encode_completion(tokenizer: PreTrainedTokenizerBase, completion: str) -> list[int]:
    """Ids of the completion and `<eos>`."""
    return encode_completions(tokenizer, [completion])[0]


def encode_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[list[int]]:
    """`encode_prompt` of many texts in one call, which is several times faster."""
    prefix = [] if tokenizer.bos_token_id is None else [_special_id(tokenizer, "bos_token_id")]
    return [prefix + ids for ids in _encode(tokenizer, [f"{prompt}\n" for prompt in prompts])]


def encode_completions(tokenizer: PreTrainedTokenizerBase, completions: Sequence[str]) -> list[list[int]]:
    """`encode_completion` of many texts in one call."""
    eos = _special_id(tokenizer, "eos_token_id")
    return [[*ids, eos] for ids in _encode(tokenizer, completions)]


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    return tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []  # type: ignore[return-value]


def _special_id(tokenizer: PreTrainedTokenizerBase, name: str) -> int:
    value = getattr(tokenizer, name)
    if not isinstance(value, int):
        raise ValueError(f"the tokenizer has no {name}: texts could not be closed")
    return value
