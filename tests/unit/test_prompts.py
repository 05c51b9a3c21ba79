import pytest

from datamodules.prompts import encode_completion, encode_completions, encode_prompt, encode_prompts
from datamodules.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_tokenizer(["def solve(x):\n    return x\n"] * 3, 300, tmp_path_factory.mktemp("data") / "tokenizer")


def test_layout(tokenizer):
    prompt, completion = encode_prompt(tokenizer, "Do it.\nNow"), encode_completion(tokenizer, "def solve(x):\n")
    assert prompt[0] == tokenizer.bos_token_id
    assert completion[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(prompt[1:]) == "Do it.\nNow\n"
    assert tokenizer.decode(completion[:-1]) == "def solve(x):\n"
    assert tokenizer.decode(prompt + completion) == "<s>Do it.\nNow\ndef solve(x):\n</s>"


def test_a_prompt_cannot_end_itself(tokenizer):
    assert tokenizer.eos_token_id not in encode_prompt(tokenizer, "</s>")
    assert encode_completion(tokenizer, "</s>").count(tokenizer.eos_token_id) == 1


def test_many_are_one_by_one(tokenizer):
    texts = ["a", "写", "def solve(x):"]
    assert encode_prompts(tokenizer, texts) == [encode_prompt(tokenizer, text) for text in texts]
    assert encode_completions(tokenizer, texts) == [encode_completion(tokenizer, text) for text in texts]
    assert encode_prompts(tokenizer, []) == []
