import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lightning_modules.generation.generate import SamplingParams, generate
from lightning_modules.generation.text import StopStrings, cut_at_stop, decode_completion

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
PIECES = ["<pad>", "<bos>", "<eos>", *BYTES, "ĊĊ", "xĊ", "Ċy", "ab", "abc"]
EOS, PAD = 2, 0


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and a few of two and three; `Ċ` is how the newline is written in such a vocabulary."""
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")


def ids(*pieces: str) -> list[int]:
    return [PIECES.index(piece) for piece in pieces]


def bytes_of(text: str) -> list[int]:
    """One token a byte: the alphabet says which character stands for which byte."""
    by_byte = {ord(char) if 33 <= ord(char) < 127 else None: char for char in BYTES}
    others = [byte for byte in range(256) if not (33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255)]
    by_byte |= {byte: chr(byte) for byte in range(161, 256) if byte != 173} | dict(
        zip(others, map(chr, range(256, 256 + len(others))), strict=True)
    )
    return ids(*(by_byte[byte] for byte in text.encode()))


def ended_at(stops: StopStrings, token_ids: list[int]) -> int | None:
    """Write a completion token by token, as `generate` does; return how many tokens it has when it ends."""
    for length in range(1, len(token_ids) + 1):
        if stops.may_match(token_ids[length - 1]) and stops.matches_suffix(token_ids[:length]):
            return length
    return None


@pytest.mark.parametrize(
    ("strings", "token_ids", "length", "text"),
    [
        (["\n\n"], ids("a", "ĊĊ", "b"), 2, "a"),
        (["\n\n"], ids("a", "Ċ", "Ċ", "b"), 3, "a"),  # spans two tokens
        (["\n\n"], ids("xĊ", "Ċy", "b"), 2, "x"),  # begins within one token, ends within the next
        (["b"], ids("x", "abc", "x"), 2, "xa"),  # lies within one token
        (["cab"], ids("abc", "a", "x", "abc", "ab"), 5, "abcaxab"),
        (["zz", "c"], ids("abc", "z", "z"), 1, "ab"),  # whichever comes first
        (["def"], ids("d", "<bos>", "<bos>", "<bos>", "e", *["<bos>"] * 20, "f"), 26, ""),  # tokens without a text
        (["def"], ids("d", "e", "x", "f"), None, "dexf"),
    ],
)
def test_a_completion_ends_with_the_token_that_completes_a_stop_string(tokenizer, strings, token_ids, length, text):
    assert ended_at(StopStrings(tokenizer, strings), token_ids) == length
    assert decode_completion(tokenizer, [], token_ids[:length], strings) == text


@pytest.mark.parametrize("stop", ["完", "é\n", "。\n\n", "x🙂", "终止"])
def test_stop_strings_may_share_the_bytes_of_a_character_among_tokens(tokenizer, stop):
    token_ids = [*bytes_of("返回 é"), *bytes_of(stop), *bytes_of(" b")]
    assert tokenizer.decode(token_ids) == f"返回 é{stop} b"
    stops = StopStrings(tokenizer, [stop])
    assert ended_at(stops, token_ids) == len(bytes_of("返回 é")) + len(stop.encode())
    assert decode_completion(tokenizer, [], token_ids, [stop]) == "返回 é"
    assert ended_at(stops, bytes_of("返回é x。\n")) is None


def test_few_tokens_cause_a_look_back(tokenizer):
    stops = StopStrings(tokenizer, ["\n\n", "abx"])
    # a newline completes the first; an x the second; "ab" completes neither, for nothing of "abx" ends with it
    assert [stops.may_match(token) for token in ids("Ċ", "ĊĊ", "xĊ", "Ċy", "x", "ab", "a", "<eos>", "é")] == [
        *[True] * 5,
        *[False] * 4,
    ]


def test_text_is_cut_at_the_first_of_the_strings():
    assert cut_at_stop("one two three", ("three", "two")) == "one "
    assert cut_at_stop("one", ("two",)) == "one"
    assert cut_at_stop("one", ()) == "one"


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(PIECES),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=256,
        eos_token_id=EOS,
        pad_token_id=PAD,
        bos_token_id=1,
    )
    return LlamaForCausalLM(config)


def complete(model, tokenizer, stop: tuple[str, ...]):
    sampling = SamplingParams(max_new_tokens=60, stop=stop)
    names = list(range(24))
    prompts = [[1, 5, 6]] * 24
    return generate(model, tokenizer, prompts, sampling, stream_ids=names, seed=0, batch_size=10)


def test_generate_stops_rows_at_their_own_stop_strings(model, tokenizer):
    stop = ("a", "\n", "%")
    free, stopped = complete(model, tokenizer, ()), complete(model, tokenizer, stop)
    shorter = 0
    for without, row in zip(free, stopped, strict=True):
        length = len(row.token_ids)
        assert row.token_ids == without.token_ids[:length]  # the same draws, ended sooner
        assert len(row.logprobs) == length
        before, whole = (tokenizer.decode(row.token_ids[:end], skip_special_tokens=True) for end in (-1, length))
        assert not any(text in before for text in stop)
        assert row.text == cut_at_stop(whole, stop)
        assert row.finished == (row.token_ids[-1] == EOS or any(text in whole for text in stop))
        shorter += length < len(without.token_ids)
    assert shorter > 5


def test_empty_stop_strings_are_errors():
    for stop in ("x", ("x", "")):
        with pytest.raises(ValueError, match="stop must be a list of texts, none of them empty"):
            SamplingParams(max_new_tokens=1, stop=stop)
