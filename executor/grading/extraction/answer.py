"""Cuts the answer out of a completion: behind the reasoning, before the end-of-text tokens."""

import re

_TAGS = r"(?:think|thinking|thought|reasoning)"
_REASONING_BEGINS = re.compile(rf"^[ \t]*<{_TAGS}>", re.IGNORECASE | re.MULTILINE)
_REASONING_ENDS = re.compile(rf"(?<![\"'`?*\\])</{_TAGS}>(?![\"'`])", re.IGNORECASE)
_LAST_TOKEN = re.compile(r"(?:<\|[\w-]{1,40}\|>|<｜[^｜\s]{1,40}｜>|</s>|<eos>|<end_of_turn>|<pad>)\Z")
_END_OF_TEXT = re.compile(
    r"(?<![\"'])<(?:\|(?:endoftext|end_of_text|im_end|eot_id|eom_id|end_of_turn|end|EOT)\||｜end▁of▁sentence｜)>(?![\"'])"
)


def normalize(text: str) -> str:
    """Take a byte order mark off a text, and write all its line breaks as line feeds."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def drop_reasoning(text: str, prompt: str | None) -> str | None:
    """Return what follows the reasoning of a model; None where it has no end or nothing follows it.

    Args:
        text: the completion.
        prompt: what the model was given; one that ends with `<think>` has begun the reasoning.
    """
    end = 0
    for found in _REASONING_ENDS.finditer(text):
        end = found.end()
    answer = text[end:]
    if end:
        answer = answer.lstrip("\n") if answer.strip() else ""
    is_open = _REASONING_BEGINS.search(answer) is not None
    if not end and prompt is not None and re.search(rf"<{_TAGS}>\s*\Z", prompt[-40:], re.IGNORECASE):
        is_open = True
    return None if is_open or (end and not answer) else answer


def cut_end_tokens(text: str) -> str:
    """Cut off end-of-text tokens, and what stands behind one that no string holds."""
    found = _END_OF_TEXT.search(text)
    if found is not None and text[: found.start()].strip():
        text = text[: found.start()]
    end = len(text.rstrip())
    while (found := _LAST_TOKEN.search(text, max(0, end - 50), end)) is not None:
        end = found.start()
        while end and text[end - 1].isspace():
            end -= 1
    return text if end == len(text.rstrip()) else text[:end]
