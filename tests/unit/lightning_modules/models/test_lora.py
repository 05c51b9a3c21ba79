import copy

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lightning_modules.models.lora import LoRAConfig, adapters_off, add_lora, has_lora, merge_lora
from lightning_modules.models.policy import Policy
from lightning_modules.models.reference import ReferencePolicy

IDS = torch.tensor([[1, 5, 6, 7], [1, 8, 9, 3]])
READ = (IDS, torch.ones_like(IDS), torch.arange(4).expand(2, 4), torch.ones_like(IDS, dtype=torch.bool))


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, initializer_range=0.4,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def train_adapters(model) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)


def test_adapters_change_nothing_at_first_and_alone_are_trained(model):
    before = model(IDS).logits
    state = torch.random.get_rng_state()
    add_lora(model, LoRAConfig(r=4), seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert has_lora(model)
    torch.testing.assert_close(model(IDS).logits, before)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    # q, k, v, o, gate, up and down of two layers, two factors each; not the output layer
    assert len(trained) == 7 * 2 * 2
    assert all("lora_" in name for name in trained)
    factors = [p for n, p in model.named_parameters() if "q_proj.lora_A" in n]
    assert factors[0].shape == (4, 16)


def test_off_is_the_model_before_and_merged_is_the_model_after(model):
    before = model(IDS).logits
    add_lora(model, LoRAConfig(r=2, alpha=4.0), seed=0)
    train_adapters(model)
    after = model(IDS).logits
    assert not torch.allclose(after, before, atol=1e-2)
    with adapters_off(model):
        torch.testing.assert_close(model(IDS).logits, before)
    torch.testing.assert_close(model(IDS).logits, after)
    names = set(LlamaForCausalLM(model.config).state_dict())
    merge_lora(model)
    assert not hasattr(model, "peft_config")  # with it, peft warns when adapters are added again
    torch.testing.assert_close(model(IDS).logits, after, atol=1e-4, rtol=1e-4)
    assert set(model.state_dict()) == names
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_reference_of_an_adapted_policy_is_the_policy_without_adapters(model):
    plain = Policy(copy.deepcopy(model))(*READ)[0]
    add_lora(model, LoRAConfig(r=2), seed=0)
    policy = Policy(model, critic="shared")
    reference = ReferencePolicy(policy)
    train_adapters(model)
    torch.testing.assert_close(reference.forward(*READ, lambda logits, part: (logits,))[0], plain)
    assert not torch.allclose(policy(*READ)[0], plain, atol=1e-2)
    policy(*READ)[0].sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())


def test_sampling_model_is_plain_and_of_the_present_weights(model):
    add_lora(model, LoRAConfig(r=2), seed=0)
    policy = Policy(model)
    train_adapters(model)
    sampled_from = policy.sampling_model(None)
    assert has_lora(model)
    assert not has_lora(sampled_from)
    torch.testing.assert_close(sampled_from(IDS).logits, model(IDS).logits, atol=1e-4, rtol=1e-4)
    rounded_later = policy.sampling_model(torch.bfloat16)  # the sum of weights and adapters is what decoding rounds
    for a, b in zip(rounded_later.parameters(), sampled_from.parameters(), strict=True):
        assert torch.equal(a, b)
    assert model.dtype == torch.float32


def test_settings_choose_layers_and_survive_json(model):
    settings = LoRAConfig(r=3, alpha=1.5, dropout=0.1, target_modules=["q_proj"])
    assert LoRAConfig.from_json(settings.to_json()) == settings
    add_lora(model, settings, seed=0)
    assert sum("lora_A" in name for name, _ in model.named_parameters()) == 2
    other = copy.deepcopy(model)
    assert model.model.layers[0].self_attn.q_proj.scaling["default"] == 0.5  # 1.5 / 3
    assert other.model.layers[0].self_attn.q_proj.lora_dropout["default"].p == 0.1


def test_seed_decides_the_first_factors(model):
    models = [copy.deepcopy(model) for _ in range(3)]
    for one, seed in zip(models, (1, 1, 2), strict=True):
        add_lora(one, LoRAConfig(r=2), seed=seed)
    first, again, other = ([p for n, p in one.named_parameters() if "lora_A" in n] for one in models)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize(
    ("change", "line"), [({"r": 0}, "lora.r is 0"), ({"alpha": 0.0}, "lora.alpha"), ({"dropout": 1.0}, "lora.dropout")]
)
def test_settings_that_cannot_be(change, line):
    with pytest.raises(ValueError, match=line):
        LoRAConfig(**change)


def test_a_target_that_does_not_exist_is_named_with_those_that_do(model):
    with pytest.raises(ValueError, match="query.*q_proj") as error:
        add_lora(model, LoRAConfig(target_modules=["query"]), seed=0)
    assert "\n" not in str(error.value)
