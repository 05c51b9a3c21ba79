"""Weights as vLLM loads them."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from lightning_modules.generation.vllm.weights import checkpoint_weights, write_checkpoint
from lightning_modules.models.loading import load_policy
from tests.support.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    write_tiny_model(folder)
    return load_policy(str(folder))


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_a_checkpoint_has_the_weights_of_the_model(loaded, tmp_path, dtype):
    model, tokenizer = loaded
    write_checkpoint(model, tokenizer, tmp_path / "exchange" / "v1", dtype)
    assert [path.name for path in (tmp_path / "exchange").iterdir()] == ["v1"]
    stored = load_file(tmp_path / "exchange" / "v1" / "model.safetensors")
    assert stored.keys() == model.state_dict().keys()  # also the output layer, which is tied
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "exchange" / "v1", dtype="auto")
    weights = checkpoint_weights(model, dtype)
    assert read.state_dict().keys() == weights.keys()
    for name, tensor in model.state_dict().items():
        expected = tensor if dtype is None else tensor.to(dtype)
        assert torch.equal(read.state_dict()[name], expected), name
        assert torch.equal(weights[name], expected), name
        assert weights[name].dtype == expected.dtype


def test_nothing_appears_under_the_name_until_it_is_complete(loaded, tmp_path, monkeypatch):
    model, tokenizer = loaded
    folder = tmp_path / "v1"

    def fail(path):
        assert not folder.exists()
        raise OSError("disk full")

    monkeypatch.setattr(type(tokenizer), "save_pretrained", lambda self, path: fail(path))
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(model, tokenizer, folder, None)
    assert not folder.exists()
