"""The engine in the process of the trainer, and the names of engines."""

import pytest

from lightning_modules.generation.generate import generate
from lightning_modules.generation.rollout_engine import InProcessEngine, check_engine
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.loading import load_policy
from tests.support.tiny_model import write_tiny_model

PROMPTS = [[5, 6, 7], [5, 6, 7], [8]]
SAMPLING = SamplingParams(max_new_tokens=6)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    write_tiny_model(folder)
    return load_policy(str(folder))


@pytest.mark.parametrize("decoder", ["native", "transformers"])
def test_completions_are_those_of_generate_with_the_version_of_the_weights(loaded, decoder):
    model, tokenizer = loaded
    engine = InProcessEngine(tokenizer, batch_size=2, decoder=decoder)
    engine.update_weights(model, version=4)
    reported = {}
    found = engine.generate(
        PROMPTS, SAMPLING, stream_ids=[1, 2, 3], seed=7, iteration=2, on_completion=reported.__setitem__
    )
    expected = generate(
        model, tokenizer, PROMPTS, SAMPLING, stream_ids=[1, 2, 3], seed=7, iteration=2, batch_size=2, decoder=decoder
    )
    assert [one.policy_version for one in found] == [4, 4, 4]
    assert [one._replace(policy_version=0) for one in found] == expected
    assert [reported[index] for index in range(3)] == found


def test_decoders_sample_the_same_tokens(loaded):
    model, tokenizer = loaded
    tokens = []
    for decoder in ("native", "transformers"):
        engine = InProcessEngine(tokenizer, batch_size=3, decoder=decoder)
        engine.update_weights(model, version=0)
        tokens.append([one.token_ids for one in engine.generate(PROMPTS, SAMPLING, stream_ids=[1, 2, 3], seed=7)])
    assert tokens[0] == tokens[1]


def test_an_engine_that_sleeps_needs_weights(loaded):
    model, tokenizer = loaded
    engine = InProcessEngine(tokenizer, batch_size=2)
    engine.update_weights(model, version=0)
    engine.sleep()
    with pytest.raises(RuntimeError, match="update_weights"):
        engine.generate(PROMPTS, SAMPLING, stream_ids=[1, 2, 3], seed=0)


@pytest.mark.parametrize("name", ["native", "transformers", "vllm", "http://a:8000", "http://a:1,https://b:2"])
def test_known_engines(name):
    check_engine(name)


@pytest.mark.parametrize("name", ["vlm", "", "http://a:8000,vllm", "localhost:8000"])
def test_unknown_engines_are_named(name):
    with pytest.raises(ValueError, match="rollout.engine") as error:
        check_engine(name)
    assert repr(name) in str(error.value)
