"""The one token layout of the project, from a task's prompt to ids and from a solution to the ids that are trained.

    plain   <bos> [system, blank line] [examples] prompt, new line | answer <eos>
    chat    the tokenizer's chat template, up to where the assistant begins | answer <eos>

Training, sampling and evaluation all build their ids here, so that a prompt is the same ids everywhere. A
`PromptFormat` says which layout and what stands around the prompt; it is kept with the tokenizer, and so goes into
checkpoints and exported folders. A tokenizer without a begin-of-text token simply has none in front.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

FORMAT_KEY = "atomforge_prompt_format"
"""Under which a format stands among the settings of a tokenizer."""
PLACE = "{prompt}"


@dataclass(frozen=True, kw_only=True)
class Example:
    """A task answered before the task proper.

    Args:
        prompt: what is asked.
        completion: the program.
    """

    prompt: str
    completion: str


@dataclass(frozen=True, kw_only=True)
class PromptFormat:
    """What stands around a task's prompt, and what an answer looks like.

    Args:
        chat: true = the tokenizer's chat template, false = plain text, null = chat where the tokenizer has a template.
        system: the system message, or in plain text what stands in front; null = none (a template may bring its own).
        user: what is asked, with {prompt} in the place of the task's prompt.
        answer: how programs are written in training and in the examples: `code` alone, or `fenced` as Markdown.
        examples: tasks that are shown answered first.
    """

    chat: bool | None = None
    system: str | None = None
    user: str = PLACE
    answer: Literal["code", "fenced"] = "code"
    examples: tuple[Example, ...] = ()

    def __post_init__(self) -> None:
        if PLACE not in self.user:
            raise ValueError(f"prompt.user has no {PLACE}: the task's prompt would be lost")
        if self.answer not in ("code", "fenced"):
            raise ValueError(f"prompt.answer is {self.answer!r}: it must be code or fenced")

    def to_json(self) -> str:
        """Write as text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "PromptFormat":
        """Read what `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        return cls(**{**values, "examples": tuple(Example(**example) for example in values["examples"])})

    def answer_text(self, program: str) -> str:
        """Write a program as an answer."""
        return program if self.answer == "code" else f"```python\n{program.rstrip()}\n```"


def set_format(tokenizer: PreTrainedTokenizerBase, prompt_format: PromptFormat) -> None:
    """Keep a format with a tokenizer: all that is encoded from now on has it.

    Raises:
        ValueError: it asks for a chat template the tokenizer does not have, or one that does not take it; one line.
    """
    tokenizer.init_kwargs[FORMAT_KEY] = prompt_format.to_json()
    if prompt_format.chat and not tokenizer.chat_template:
        raise ValueError("prompt.chat is true, but the tokenizer has no chat template: set it to null or false")
    prompt_text(tokenizer, "")


def format_of(tokenizer: PreTrainedTokenizerBase) -> PromptFormat:
    """Return the format that is kept with a tokenizer."""
    text = tokenizer.init_kwargs.get(FORMAT_KEY)
    return PromptFormat() if text is None else PromptFormat.from_json(text)


def is_chat(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether prompts are put into the tokenizer's chat template."""
    chat = format_of(tokenizer).chat
    return bool(tokenizer.chat_template) if chat is None else chat


def prompt_text(tokenizer: PreTrainedTokenizerBase, prompt: str) -> str:
    """Write all of what a model is given, special tokens of a chat template included (`<bos>` of plain text not).

    Raises:
        ValueError: the chat template refuses the messages; one line.
    """
    prompt_format = format_of(tokenizer)
    turns = [
        (_asked(prompt_format, example.prompt), prompt_format.answer_text(example.completion))
        for example in prompt_format.examples
    ]
    if not is_chat(tokenizer):
        parts = [] if prompt_format.system is None else [f"{prompt_format.system}\n\n"]
        parts += [f"{_closed(asked)}{_closed(answer)}\n" for asked, answer in turns]
        return "".join(parts) + _closed(_asked(prompt_format, prompt))
    messages = [] if prompt_format.system is None else [{"role": "system", "content": prompt_format.system}]
    for asked, answer in turns:
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    messages.append({"role": "user", "content": _asked(prompt_format, prompt)})
    try:
        return str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
    except TemplateError as error:
        raise ValueError(f"the tokenizer's chat template refuses these messages: {error}") from error


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Ids of a prompt in the tokenizer's format."""
    return encode_prompts(tokenizer, [prompt])[0]


def encode_completion(tokenizer: PreTrainedTokenizerBase, completion: str) -> list[int]:
    """Ids of a program in the form of answers, and `<eos>`."""
    return encode_completions(tokenizer, [completion])[0]


def encode_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[list[int]]:
    """`encode_prompt` of many texts in one call, which is several times faster."""
    texts = [prompt_text(tokenizer, prompt) for prompt in prompts]
    if is_chat(tokenizer):
        return _encode(tokenizer, texts)
    prefix = [] if tokenizer.bos_token_id is None else [_special_id(tokenizer, "bos_token_id")]
    return [prefix + ids for ids in _encode(tokenizer, texts)]


def encode_completions(tokenizer: PreTrainedTokenizerBase, completions: Sequence[str]) -> list[list[int]]:
    """`encode_completion` of many texts in one call."""
    eos = _special_id(tokenizer, "eos_token_id")
    prompt_format = format_of(tokenizer)
    return [[*ids, eos] for ids in _encode(tokenizer, [prompt_format.answer_text(text) for text in completions])]


def encode_files(
    tokenizer: PreTrainedTokenizerBase, heads: Sequence[str], programs: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """Ids of whole files for pretraining, whatever the format: (`<bos>` where there is one, the file and `<eos>`).

    No token lies across the border between head and program, where a prompt would end and its answer begin.
    """
    start = [] if tokenizer.bos_token_id is None else [_special_id(tokenizer, "bos_token_id")]
    eos = _special_id(tokenizer, "eos_token_id")
    parts = zip(_encode(tokenizer, heads), _encode(tokenizer, programs), strict=True)
    return [(start, [*head, *program, eos]) for head, program in parts]


def _asked(prompt_format: PromptFormat, prompt: str) -> str:
    return prompt_format.user.replace(PLACE, prompt)


def _closed(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    return tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []  # type: ignore[return-value]


def _special_id(tokenizer: PreTrainedTokenizerBase, name: str) -> int:
    value = getattr(tokenizer, name)
    if not isinstance(value, int):
        raise ValueError(f"the tokenizer has no {name}: texts could not be closed")
    return value
