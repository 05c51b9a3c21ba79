"""When a completion ends that an engine of its own sampler streams."""

import numpy as np
import pytest
import torch

from lightning_modules.generation.completion_stream import StreamRules, open_streams
from lightning_modules.generation.sampler import GenerationState, SamplingParams
from lightning_modules.generation.text import StopStrings
from tests.support.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model"))


def stream_of(tokenizer, *, max_new_tokens=8, stop=(), context=64, prompt=(4, 5)):
    rules = StreamRules(tokenizer, SamplingParams(max_new_tokens=max_new_tokens, stop=stop), context, version=3)
    return open_streams([list(prompt)], rules)[0]


def test_eos_ends_a_completion_and_is_kept(tokenizer):
    stream = stream_of(tokenizer)
    a, b = tokenizer.encode("ab", add_special_tokens=False)
    assert not stream.add([a], [-1.0])
    assert stream.add([b, tokenizer.eos_token_id, a], [-2.0, -3.0, -4.0])
    assert stream.result() == ("ab", [a, b, tokenizer.eos_token_id], [-1.0, -2.0, -3.0], True, 3)


def test_the_maximum_length_truncates(tokenizer):
    stream = stream_of(tokenizer, max_new_tokens=2)
    (a,) = tokenizer.encode("a", add_special_tokens=False)
    assert stream.add([a, a, a], [-1.0] * 3)
    assert stream.result() == ("aa", [a, a], [-1.0, -1.0], False, 3)


def test_the_context_truncates(tokenizer):
    assert stream_of(tokenizer, context=5, prompt=(4, 5)).max_new_tokens == 3


def test_tokens_without_log_probabilities_are_an_error(tokenizer):
    with pytest.raises(ValueError, match="zip"):
        stream_of(tokenizer).add([4, 5], [-1.0])


@pytest.mark.parametrize("text", ["x\n\ny", "x\n\n", "\n\n", "abc"])
def test_stop_strings_end_a_completion_where_the_native_engine_ends_it(tokenizer, text):
    tokens = tokenizer.encode(text, add_special_tokens=False)[:8]
    stream = stream_of(tokenizer, stop=("\n\n",), max_new_tokens=len(tokens))
    for token in tokens:
        if stream.add([token], [-0.5]):
            break
    state = GenerationState(
        np.zeros(1, dtype=np.uint64),
        np.array([len(tokens)]),
        temperature=0.0,
        seed=0,
        iteration=0,
        eos_id=tokenizer.eos_token_id,
        stop_strings=StopStrings(tokenizer, ("\n\n",)),
    )
    for token in tokens:
        logits = torch.zeros(1, len(tokenizer)).scatter_(1, torch.tensor([[token]]), 50.0)
        if state.step(logits, np.arange(1))[1][0]:
            break
    ids, _, finished = state.result(0)
    completion = stream.result()
    assert (completion.token_ids, completion.finished) == (ids, finished)
    assert completion.text == text.split("\n\n")[0]
