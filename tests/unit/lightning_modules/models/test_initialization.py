"""Initial weights and casts do not depend on the default device or lose precision in buffers."""

import warnings

import pytest
import torch

from lightning_modules.models.initialization import initialize_on_cpu
from lightning_modules.models.loading import load_policy
from lightning_modules.models.lora import LoRAConfig, add_lora
from lightning_modules.models.tiny_llama import build_causal_lm
from lightning_modules.sft_module import SFTModule
from tests.support.tiny_model import TINY, write_tiny_model


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    return folder, write_tiny_model(folder)


def test_generator_has_its_state_back_and_numbers_depend_on_the_seed_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    draws = []
    for device in ("cpu", "meta"):
        with torch.device(device), initialize_on_cpu(7):
            draws.append(torch.randn(3))
        torch.randn(1)
    assert torch.equal(*draws)
    torch.set_rng_state(before)
    with initialize_on_cpu(7):
        torch.randn(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_warning_on_a_machine_with_several_gpus(start, monkeypatch):
    """`torch.random.fork_rng()` without devices warns there, in every rank."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = build_causal_lm(TINY, start[1], 0)
        add_lora(model, LoRAConfig(r=2), seed=0)


@pytest.mark.parametrize("loaded", [False, True])
def test_sft_builds_on_the_cpu_whatever_the_default_device(start, monkeypatch, loaded):
    """Lightning calls `configure_model` with the GPU as default device; `meta` stands in for it."""
    from types import SimpleNamespace

    import transformers.integrations.accelerate as accelerate

    monkeypatch.setattr(accelerate, "is_accelerate_available", lambda *_: False)  # it is an extra
    folder, tokenizer = start
    weights = []
    for device in ("cpu", "meta"):
        module = SFTModule(init_from=str(folder)) if loaded else SFTModule(architecture=TINY)
        data = SimpleNamespace(tokenizer=tokenizer, longest_sample=1)
        module._trainer = SimpleNamespace(datamodule=data, strategy=None)  # type: ignore[assignment]
        with torch.device(device):
            module.configure_model()
        weights.append(module.policy.state_dict())
    assert {value.device.type for value in weights[1].values()} == {"cpu"}
    assert all(torch.equal(value, weights[0][name]) for name, value in weights[1].items())


def test_rotary_frequencies_stay_in_float32_where_weights_are_rounded(start, tmp_path):
    """Weights of a checkpoint of this project in bfloat16 compute what those of a folder compute."""
    folder, tokenizer = start
    from lightning_modules.models.loading import PAYLOAD_KEY, checkpoint_payload

    model, _ = load_policy(folder)
    state = {f"policy.causal_lm.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, PAYLOAD_KEY: checkpoint_payload(model, tokenizer)}, tmp_path / "a.ckpt")
    ours, published = (load_policy(path, dtype=torch.bfloat16)[0] for path in (tmp_path / "a.ckpt", folder))
    assert ours.dtype == torch.bfloat16
    assert ours.model.rotary_emb.inv_freq.dtype == torch.float32
    ids = torch.randint(3, 250, (1, 100), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(ours(ids).logits, published(ids).logits)
