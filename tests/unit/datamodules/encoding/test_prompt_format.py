import copy
import json

import pytest

from datamodules.encoding.prompt_format import (
    Example,
    PromptFormat,
    encode_completions,
    encode_files,
    encode_prompts,
    get_format,
    render_prompt,
    set_format,
)
from datamodules.encoding.tokenizer import load_tokenizer, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_tokenizer(["def solve(x):\n    return x\n"] * 3, 300, tmp_path_factory.mktemp("data") / "tokenizer")


def test_layout(tokenizer):
    prompt, completion = (
        encode_prompts(tokenizer, ["Do it.\nNow"])[0],
        encode_completions(tokenizer, ["def solve(x):\n"])[0],
    )
    assert prompt[0] == tokenizer.bos_token_id
    assert completion[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(prompt[1:]) == "Do it.\nNow\n"
    assert tokenizer.decode(completion[:-1]) == "def solve(x):\n"
    assert tokenizer.decode(prompt + completion) == "<s>Do it.\nNow\ndef solve(x):\n</s>"


def test_a_prompt_cannot_end_itself(tokenizer):
    assert tokenizer.eos_token_id not in encode_prompts(tokenizer, ["</s>"])[0]
    assert encode_completions(tokenizer, ["</s>"])[0].count(tokenizer.eos_token_id) == 1


def test_many_are_one_by_one(tokenizer):
    texts = ["a", "写", "def solve(x):"]
    assert encode_prompts(tokenizer, texts) == [encode_prompts(tokenizer, [text])[0] for text in texts]
    assert encode_completions(tokenizer, texts) == [encode_completions(tokenizer, [text])[0] for text in texts]
    assert encode_prompts(tokenizer, []) == []


TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.fixture
def fresh(tokenizer):
    return copy.deepcopy(tokenizer)


def test_plain_text_with_everything_around_it(fresh):
    example = Example(prompt="Add 1.", completion="def solve(x):\n    return x + 1\n")
    set_format(
        fresh, PromptFormat(system="Be brief.", user="Task: {prompt}", completion_format="fenced", examples=(example,))
    )
    assert render_prompt(fresh, "Do {x}.") == (
        "Be brief.\n\nTask: Add 1.\n```python\ndef solve(x):\n    return x + 1\n```\n\nTask: Do {x}.\n"
    )
    completion = encode_completions(fresh, ["def solve(x): ...\n"])[0]
    assert fresh.decode(completion[:-1]) == "```python\ndef solve(x): ...\n```"
    assert completion[-1] == fresh.eos_token_id


def test_code_that_ends_its_line_is_gone_on_with(tokenizer):
    assert render_prompt(tokenizer, 'def f():\n    """Doc."""\n') == 'def f():\n    """Doc."""\n'


def test_chat_template_where_there_is_one(fresh):
    fresh.chat_template = TEMPLATE
    fresh.split_special_tokens = False
    assert render_prompt(fresh, "Hi") == "[user]Hi</s>[assistant]"
    set_format(fresh, PromptFormat(system="Be brief.", examples=(Example(prompt="a", completion="b"),)))
    assert render_prompt(fresh, "Hi") == "[system]Be brief.</s>[user]a</s>[assistant]b</s>[user]Hi</s>[assistant]"
    ids = encode_prompts(fresh, ["Hi"])[0]
    assert ids.count(fresh.eos_token_id) == 4  # the template's own ones are special
    assert ids[0] != fresh.bos_token_id  # a template brings its own
    set_format(fresh, PromptFormat(chat=False))
    assert render_prompt(fresh, "Hi") == "Hi\n"
    assert encode_prompts(fresh, ["Hi"])[0][0] == fresh.bos_token_id


def test_a_format_is_saved_with_the_tokenizer(fresh, tmp_path):
    wanted = PromptFormat(chat=False, user="{prompt}?", examples=(Example(prompt="a", completion="b"),))
    assert get_format(fresh) == PromptFormat()
    set_format(fresh, wanted)
    fresh.save_pretrained(tmp_path)
    assert get_format(load_tokenizer(tmp_path)) == wanted


def test_impossible_formats_are_one_line(fresh):
    with pytest.raises(ValueError, match=r"prompt.user has no \{prompt\}"):
        PromptFormat(user="Do it.")
    with pytest.raises(ValueError, match="prompt.completion_format is 'prose'"):
        PromptFormat(completion_format="prose")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no chat template"):
        set_format(fresh, PromptFormat(chat=True))
    fresh.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(ValueError, match=r"rejects the messages: System role not supported"):
        set_format(fresh, PromptFormat(system="Be brief."))


def test_no_token_lies_across_the_border_of_a_file(tmp_path):
    head, program = '"""Do it."""\n\n\n', "def solve(x):\n    return x\n"
    tokenizer = train_tokenizer([head + program] * 3, 300, tmp_path / "tokenizer")  # has a token for "\n\n\ndef solve"
    [(start, ids)] = encode_files(tokenizer, ["Do it."], [program])
    assert start == [tokenizer.bos_token_id]
    assert ids[-1] == tokenizer.eos_token_id
    assert ids[:-1] == [*tokenizer(head)["input_ids"], *tokenizer(program)["input_ids"]]
    assert ids[:-1] != tokenizer(head + program)["input_ids"]


@pytest.mark.parametrize(("stored", "expected"), [("code", "raw"), ("fenced", "fenced")])
def test_formats_of_version_0_1_load(stored, expected):
    old = {"chat": None, "system": "Be brief.", "user": "{prompt}", "answer": stored, "examples": []}
    assert PromptFormat.from_json(json.dumps(old)) == PromptFormat(system="Be brief.", completion_format=expected)
