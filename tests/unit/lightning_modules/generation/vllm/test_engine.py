"""The engine of vLLM in the process, with a stand-in for the package: weights, versions, requests, and failures."""

import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.generation.vllm import engine as engine_module
from lightning_modules.generation.vllm.engine import VllmEngine
from tests.support import fake_vllm
from tests.support.fake_vllm import EOS, LLM
from tests.support.number_tokenizer import NumberTokenizer

SAMPLING = SamplingParams(max_new_tokens=8, temperature=0.5)


def model_of(weight: float, device: str = "cpu"):
    return SimpleNamespace(weight=weight, device=SimpleNamespace(type=device), dtype=torch.float32)


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", fake_vllm)
    monkeypatch.setattr(engine_module, "write_checkpoint", lambda *_: None)
    monkeypatch.setattr(
        engine_module, "checkpoint_weights", lambda model, dtype: {"embed": torch.tensor([model.weight])}
    )
    for name in engine_module._ENVIRONMENT:
        monkeypatch.setenv(name, "")
    tokenizer = NumberTokenizer(eos_id=EOS, pad_id=0)
    return VllmEngine(tokenizer, batch_size=4, dtype=torch.bfloat16, gpu_memory_utilization=0.3)  # type: ignore[arg-type]


def generate(engine, num=3, **options):
    return engine.generate([[5, 6]] * num, SAMPLING, stream_ids=range(num), seed=1, **options)


def test_completions_are_of_the_updated_weights_and_have_their_version(engine):
    engine.update_weights(model_of(0), version=0)
    assert generate(engine) == [("100 7 ", [100, 7, EOS], [-0.5] * 3, True, 0)] * 3
    reported = {}
    engine.update_weights(model_of(3), version=1)
    found = generate(engine, on_completion=reported.__setitem__)
    assert {(one.token_ids[0], one.policy_version) for one in found} == {(103, 1)}
    assert [reported[index] for index in range(3)] == found
    assert [call for call in LLM.last.calls if call[0] != "add_request"] == [
        ("reload_weights",),
        ("reset_prefix_cache",),
    ]


def test_vllm_starts_with_the_settings_of_the_run(engine):
    engine.update_weights(model_of(0), version=0)
    options = LLM.last.options
    assert (options["dtype"], options["max_num_seqs"]) == ("bfloat16", 4)
    assert (options["generation_config"], options["logprobs_mode"]) == ("vllm", "processed_logprobs")
    assert "enable_sleep_mode" not in options
    assert options["enable_chunked_prefill"] is False
    engine.close()
    assert LLM.last.calls == [("shutdown",)]


def test_a_failed_update_leaves_nothing_to_sample_from(engine):
    engine.update_weights(model_of(0), version=0)
    LLM.last.fails = True
    with pytest.raises(RuntimeError, match="no memory"):
        engine.update_weights(model_of(1), version=1)
    with pytest.raises(RuntimeError, match="update_weights"):
        generate(engine)
    LLM.last.fails = False
    engine.update_weights(model_of(1), version=1)
    assert generate(engine)[0].token_ids[0] == 101


def test_it_sleeps_on_gpus_and_wakes_for_the_next_weights(engine):
    engine.update_weights(model_of(0, "cuda"), version=0)
    assert LLM.last.options["enable_sleep_mode"]
    assert "enable_chunked_prefill" not in LLM.last.options
    assert LLM.last.options["gpu_memory_utilization"] == 0.3
    engine.sleep()
    engine.sleep()
    with pytest.raises(RuntimeError, match="update_weights"):
        generate(engine)
    engine.update_weights(model_of(1, "cuda"), version=1)
    assert LLM.last.calls == [
        ("sleep", 2),
        ("wake_up", "weights"),
        ("reload_weights",),
        ("wake_up", "kv_cache"),
        ("reset_prefix_cache",),
    ]


def test_requests_that_the_caller_does_not_wait_for_are_aborted(engine):
    engine.update_weights(model_of(0), version=0)

    def fail(index, completion):
        raise KeyError("grading")

    with pytest.raises(KeyError):
        generate(engine, num=5, on_completion=fail)
    assert LLM.last.calls[-1] == ("abort", 4)
    assert len(generate(engine)) == 3


def test_the_random_numbers_of_the_trainer_stay(engine, monkeypatch):
    def start(*_):
        torch.rand(1), random.random(), np.random.rand()

    monkeypatch.setattr(engine_module, "write_checkpoint", start)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    engine.update_weights(model_of(0), version=0)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())


def test_a_prompt_that_leaves_no_room_is_named(engine):
    engine.update_weights(model_of(0), version=0)
    with pytest.raises(ValueError, match="prompt 1 has 32 tokens; the model takes 1 to 31"):
        engine.generate([[5], [5] * 32], SAMPLING, stream_ids=[0, 1], seed=0)


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    for name in engine_module._ENVIRONMENT:
        monkeypatch.setenv(name, "")
    with pytest.raises(ValueError, match="pip install vllm") as error:
        VllmEngine(None, batch_size=1, dtype=None, gpu_memory_utilization=0.3)  # type: ignore[arg-type]
    assert "rollout.engine is vllm" in str(error.value)
    assert "\n" not in str(error.value)
