"""Decoding a completion as it goes on with its prompt, with the decoders of Llama 2, Mistral and GPT-2."""

import random

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lightning_modules.generation.text import StopStrings, decode, decode_completion

WORDS = ["def", "▁f", "(", "x", ")", ":", "▁", "▁▁▁", "▁return", "return", "▁x", "▁+", "1", ".", "▁."]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SPECIAL = ["<pad>", "<s>", "</s>"]
LLAMA_2 = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]


def build(pieces: list[str], decoder) -> PreTrainedTokenizerFast:
    vocabulary = {piece: number for number, piece in enumerate([*SPECIAL, *pieces])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    raw.decoder = decoder
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module", params=["strip", "metaspace", "byte level"])
def tokenizer(request) -> PreTrainedTokenizerFast:
    if request.param == "byte level":
        return build(["def", "Ġf", *sorted(pre_tokenizers.ByteLevel.alphabet())], decoders.ByteLevel())
    strip = request.param == "strip"
    return build([*WORDS, *BYTES], decoders.Sequence(LLAMA_2) if strip else decoders.Metaspace())


@pytest.fixture(scope="module")
def llama() -> PreTrainedTokenizerFast:
    return build([*WORDS, *BYTES], decoders.Sequence(LLAMA_2))


def ids(tokenizer: PreTrainedTokenizerFast, *pieces: str) -> list[int]:
    return [tokenizer.get_vocab()[piece] for piece in pieces]


def test_the_first_blank_of_a_completion_stays(llama):
    prompt = ids(llama, "<s>", "def", "▁f", "(", "x", ")", ":", "<0x0A>")
    body = ids(llama, "▁▁▁", "▁return", "▁x", "</s>")
    assert decode(llama, body) == "   return x"  # three blanks of four: a syntax error behind the prompt
    assert decode_completion(llama, prompt, body) == "    return x"
    assert decode_completion(llama, prompt, body) == "    return x"


def test_the_blank_before_a_word_stays(llama):
    prompt = ids(llama, "<s>", "▁return")
    assert decode_completion(llama, prompt, ids(llama, "▁x", "▁+", "1")) == " x +1"
    assert decode_completion(llama, prompt, []) == ""


def test_a_prompt_without_text_leaves_the_completion_as_it_is_decoded_alone(llama):
    assert decode_completion(llama, ids(llama, "<s>"), ids(llama, "▁x", "▁+")) == "x +"
    assert decode_completion(llama, [], ids(llama, "▁x", "▁+")) == "x +"


def test_special_tokens_at_the_end_of_a_prompt_are_looked_past(llama):
    prompt = ids(llama, "def", "▁f", *["<s>"] * 50)
    assert decode_completion(llama, prompt, ids(llama, "▁x")) == " x"


def test_blanks_before_punctuation_stay(llama):
    assert decode_completion(llama, ids(llama, "x"), ids(llama, "▁x", "▁.")) == " x ."


def test_a_character_across_the_border_belongs_to_the_completion(llama):
    assert decode_completion(llama, ids(llama, "x", "<0xC3>"), ids(llama, "<0xA9>", "x")) == "éx"


@pytest.mark.parametrize("length", [0, 1, 2, 7, 8, 9, 17, 40])
def test_it_is_what_decoding_the_whole_prompt_gives(tokenizer, length):
    draw = random.Random(length)
    num_visible = 0
    pool = [*range(18)] * 100 + [*range(len(tokenizer))]  # few bytes: most of them make no character
    for _ in range(60):
        prompt, completion = (draw.choices(pool, k=n) for n in (length, draw.randrange(12)))
        before, whole = decode(tokenizer, prompt), decode(tokenizer, [*prompt, *completion])
        if whole.startswith(before) and not before.endswith("\ufffd"):  # no character lies across the border
            num_visible += bool(before.strip())
            assert decode_completion(tokenizer, prompt, completion) == whole[len(before) :]
    assert num_visible > 5 or length < 2


def test_a_tail_that_cuts_a_character_is_lengthened(llama):
    euro = ["<0xE2>", "<0x82>", "<0xAC>"]
    for num_before in range(12):
        prompt = ids(llama, *["x"] * num_before, *euro * 4)
        assert decode_completion(llama, prompt, ids(llama, *euro, "▁x")) == "€ x"


def test_only_the_end_of_a_long_prompt_is_decoded(llama, monkeypatch):
    seen = []
    plain = type(llama).decode
    monkeypatch.setattr(type(llama), "decode", lambda self, ids, **kw: seen.append(len(ids)) or plain(self, ids, **kw))
    assert decode_completion(llama, ids(llama, *["x"] * 5000), ids(llama, "▁x")) == " x"
    assert max(seen) < 20


def test_stop_strings_end_what_is_decoded_behind_its_prompt(llama):
    prompt = ids(llama, "<s>", "def", "<0x0A>")
    completion = ids(llama, "▁▁▁", "▁return", "▁x", "<0x0A>", "def", "▁f")
    stops = StopStrings(llama, ["\ndef"])
    ended = [n for n in range(1, 7) if stops.may_match(completion[n - 1]) and stops.matches_suffix(completion[:n])]
    assert ended[0] == 5
    assert decode_completion(llama, prompt, completion[:5], ["\ndef"]) == "    return x"
