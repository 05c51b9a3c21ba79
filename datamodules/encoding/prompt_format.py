"""The token layout of the project: from a task's prompt to token ids, and from a program to the ids that are trained.

    plain   <bos> [system, blank line] [examples] prompt, newline | completion <eos>
    chat    the tokenizer's chat template, up to the assistant's turn | completion <eos>

Training, sampling and evaluation all build their ids here, so a prompt has the same ids everywhere. A `PromptFormat`
selects the layout and the text around the prompt; it is stored with the tokenizer and so in checkpoints and exported
folders. A tokenizer without a begin-of-text token omits `<bos>`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

FORMAT_KEY = "atomforge_prompt_format"
"""Key of the format among the settings (`init_kwargs`) of a tokenizer."""
PLACEHOLDER = "{prompt}"


@dataclass(frozen=True, kw_only=True)
class Example:
    """A solved task shown before the prompt.

    Args:
        prompt: prompt of the task.
        completion: program that solves it.
    """

    prompt: str
    completion: str


@dataclass(frozen=True, kw_only=True)
class PromptFormat:
    """The text around a task's prompt, and the form of completions.

    Args:
        chat: true = the tokenizer's chat template, false = plain text, null = chat if the tokenizer has a template.
        system: system message, or the first paragraph of plain text; null = none (a template may add its own).
        user: user message; {prompt} is replaced by the task's prompt.
        completion_format: how programs are written in training and in examples: `raw` source, or `fenced` as Markdown.
        examples: solved tasks shown first.
    """

    chat: bool | None = None
    system: str | None = None
    user: str = PLACEHOLDER
    completion_format: Literal["raw", "fenced"] = "raw"
    examples: tuple[Example, ...] = ()

    def __post_init__(self) -> None:
        if PLACEHOLDER not in self.user:
            raise ValueError(f"prompt.user has no {PLACEHOLDER}: the task's prompt would be lost")
        if self.completion_format not in ("raw", "fenced"):
            raise ValueError(f"prompt.completion_format is {self.completion_format!r}: it must be raw or fenced")

    def to_json(self) -> str:
        """Serialize for the tokenizer's settings."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "PromptFormat":
        """Read the output of `to_json`, also that of version 0.1 (`answer: code | fenced`)."""
        values: dict[str, Any] = json.loads(text)
        if (answer := values.pop("answer", None)) is not None:
            values["completion_format"] = "raw" if answer == "code" else answer
        return cls(**{**values, "examples": tuple(Example(**example) for example in values["examples"])})

    def format_completion(self, program: str) -> str:
        """Write a program as a completion."""
        return program if self.completion_format == "raw" else f"```python\n{program.rstrip()}\n```"

    def format_user_turn(self, prompt: str) -> str:
        """Put a prompt into the user message."""
        return self.user.replace(PLACEHOLDER, prompt)


def set_format(tokenizer: PreTrainedTokenizerBase, prompt_format: PromptFormat) -> None:
    """Store a format with a tokenizer, in place of the previous one.

    Raises:
        ValueError: the format needs a chat template and the tokenizer has none, or the template rejects the messages.
    """
    tokenizer.init_kwargs[FORMAT_KEY] = prompt_format.to_json()
    if prompt_format.chat and not tokenizer.chat_template:
        raise ValueError("prompt.chat is true, but the tokenizer has no chat template: set it to null or false")
    render_prompt(tokenizer, "")


def get_format(tokenizer: PreTrainedTokenizerBase) -> PromptFormat:
    """Return the format stored with a tokenizer, or the default."""
    text = tokenizer.init_kwargs.get(FORMAT_KEY)
    return PromptFormat() if text is None else PromptFormat.from_json(text)


def is_chat(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether prompts use the tokenizer's chat template."""
    chat = get_format(tokenizer).chat
    return bool(tokenizer.chat_template) if chat is None else chat


def render_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> str:
    """Return the whole model input as text, with the special tokens of a chat template but without `<bos>`.

    Raises:
        ValueError: the chat template rejects the messages.
    """
    prompt_format = get_format(tokenizer)
    turns = [
        (prompt_format.format_user_turn(example.prompt), prompt_format.format_completion(example.completion))
        for example in prompt_format.examples
    ]
    last_turn = prompt_format.format_user_turn(prompt)
    if not is_chat(tokenizer):
        parts = [] if prompt_format.system is None else [f"{prompt_format.system}\n\n"]
        parts += [f"{_end_line(user)}{_end_line(completion)}\n" for user, completion in turns]
        return "".join(parts) + _end_line(last_turn)
    messages = [] if prompt_format.system is None else [{"role": "system", "content": prompt_format.system}]
    for user, completion in turns:
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": completion}]
    messages.append({"role": "user", "content": last_turn})
    try:
        return str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
    except TemplateError as error:
        raise ValueError(f"the tokenizer's chat template rejects the messages: {error}") from error


def encode_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[list[int]]:
    """Return the ids of prompts in the tokenizer's format; one call for many texts is several times faster."""
    texts = [render_prompt(tokenizer, prompt) for prompt in prompts]
    if is_chat(tokenizer):
        return _encode(tokenizer, texts)
    bos = _encode_bos(tokenizer)
    return [bos + ids for ids in _encode(tokenizer, texts)]


def encode_completions(tokenizer: PreTrainedTokenizerBase, programs: Sequence[str]) -> list[list[int]]:
    """Return the ids of programs in the format of completions, each with `<eos>`."""
    eos = get_special_id(tokenizer, "eos_token_id")
    prompt_format = get_format(tokenizer)
    return [[*ids, eos] for ids in _encode(tokenizer, [prompt_format.format_completion(text) for text in programs])]


def encode_files(
    tokenizer: PreTrainedTokenizerBase, docstrings: Sequence[str], programs: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """Return the ids of whole files for pretraining: (`<bos>` if there is one, the file and `<eos>`).

    Head and program are encoded separately: no token crosses the border where a prompt would end.
    """
    bos, eos = _encode_bos(tokenizer), get_special_id(tokenizer, "eos_token_id")
    heads = [format_file_head(docstring) for docstring in docstrings]
    parts = zip(_encode(tokenizer, heads), _encode(tokenizer, programs), strict=True)
    return [(bos, [*head, *program, eos]) for head, program in parts]


def format_file_head(docstring: str) -> str:
    """Return what precedes the program of a pretraining file: a docstring and two empty lines."""
    return f'"""{docstring}"""\n\n\n'


def get_special_id(tokenizer: PreTrainedTokenizerBase, name: str) -> int:
    """Return the id of a special token, such as `eos_token_id`.

    Raises:
        ValueError: the tokenizer does not have it.
    """
    value = getattr(tokenizer, name)
    if not isinstance(value, int):
        raise ValueError(f"the tokenizer has no {name}")
    return value


def _encode_bos(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    return [] if tokenizer.bos_token_id is None else [get_special_id(tokenizer, "bos_token_id")]


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    return tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []  # type: ignore[return-value]


def _end_line(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
