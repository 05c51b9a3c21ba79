import re

import pytest
from datasets import load_from_disk

from datamodules.encoding.tokenizer import (
    PIECES,
    STEP_PIECES,
    load_tokenizer,
    pre_tokenizer,
    train_tokenizer,
    training_texts,
)
from tests.support.small_data import write_small_data

TEXTS = [
    "写一个函数 solve(values)，返回列表之和。\n",
    "def solve(values):\n    return sum(values[i] for i in range(9))\n",
] * 4


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_tokenizer(TEXTS, 400, tmp_path_factory.mktemp("data") / "tokenizer")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain words",
        "  two  blanks   and a trailing one ",
        "\ttabs\t\tand\n\n\n    mixed \t indentation\n\t",
        "naïve café – “quotes” é 😀 𝒳 \u200b\u00a0\u3000",
        "写一个函数，返回 values 的和。（测试）",
        "carriage\r\nreturn \x00 \x7f",
        "</s> <s> <pad> are text here",
        "x = {'a': [1, 2.5e-3], \"b\": lambda y: ~y ** 2}  # ok\n",
    ],
)
def test_round_trip_is_lossless(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert not set(ids) & set(tokenizer.all_special_ids)


def test_pieces_cover_any_text_and_cut_where_they_should():
    source = "def solve(values):\n    return values[i]  + 写一，x\n"
    pieces = re.findall(PIECES, source)
    assert pieces == ["def solve(values):", "\n    return values[i]  + 写一，x", "\n"]
    assert len(pre_tokenizer().pre_tokenize_str(source)) == len(pieces)
    prose = "Write `solve(a)` that  sorts:\n1. 写一，x\n"
    pieces = re.findall(PIECES, prose)
    assert pieces == ["Write", " `", "solve(", "a)`", " that", " ", " sorts:", "\n", "1.", " ", "写一，", "x", "\n"]
    assert len(pre_tokenizer().pre_tokenize_str(prose)) == len(pieces)


def test_common_code_is_few_tokens(tokenizer):
    assert len(tokenizer("def solve(values):", add_special_tokens=False)["input_ids"]) == 1
    assert len(tokenizer("\n    return sum(values[i] for i in range(9))", add_special_tokens=False)["input_ids"]) == 1


def test_specials(tokenizer):
    names = (tokenizer.pad_token, tokenizer.bos_token, tokenizer.eos_token)
    assert names == ("<pad>", "<s>", "</s>")
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)


def test_training_is_deterministic_and_loading_gives_the_same(tmp_path, tokenizer):
    again = train_tokenizer(TEXTS, 400, tmp_path / "tokenizer")
    assert again.get_vocab() == tokenizer.get_vocab() == load_tokenizer(tmp_path / "tokenizer").get_vocab()


def test_an_existing_tokenizer_is_kept_and_another_recipe_refused(tmp_path):
    first = train_tokenizer(TEXTS, 300, tmp_path / "tokenizer")
    assert train_tokenizer(["other text"] * 9, 300, tmp_path / "tokenizer").get_vocab() == first.get_vocab()
    with pytest.raises(ValueError, match="vocab_size 300, not 310"):
        train_tokenizer(TEXTS, 310, tmp_path / "tokenizer")
    with pytest.raises(ValueError, match="cuts texts into other pieces: delete it"):
        train_tokenizer(TEXTS, 300, tmp_path / "tokenizer", pieces=STEP_PIECES)
    with pytest.raises(ValueError, match="at least 259"):
        train_tokenizer(TEXTS, 100, tmp_path / "small")
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer"]  # nothing half-made is left


def test_vocab_size_is_kept_to(tokenizer, tmp_path):
    assert len(train_tokenizer(TEXTS, 270, tmp_path / "tokenizer")) == 270
    assert len(tokenizer) > 270


def test_missing_tokenizer_is_one_line(tmp_path):
    for name in ("absent", "absent.ckpt"):
        with pytest.raises(ValueError, match=name) as error:
            load_tokenizer(tmp_path / name)
        assert "\n" not in str(error.value)


def test_texts_come_from_training_splits_alone(tmp_path):
    texts = "".join(training_texts(load_from_disk(str(write_small_data(tmp_path / "d")))))
    assert "x + 3\n" in texts  # atomic/3
    assert "x + 111\n" in texts  # synthetic_train/11
    assert "adds 100 to" in texts
    for number in (200, 300, 400, 500, 600):
        assert f" {number}" not in texts


def test_steps_are_cut_into_name_call_and_arguments():
    source = "def solve(a: list[int]) -> int:\n    y = rotate(a, 3)\n    return top(y)\n"
    pieces = [text for text, _ in pre_tokenizer(STEP_PIECES).pre_tokenize_str(source)]
    assert [piece.replace("Ġ", " ").replace("Ċ", "\n") for piece in pieces] == [
        "def solve(a: list[int]) -> int:",
        "\n    y = ",
        "rotate(",
        "a,",
        " 3)",
        "\n    return ",
        "top(",
        "y)",
        "\n",
    ]
