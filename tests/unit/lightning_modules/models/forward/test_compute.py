import copy
import shutil

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTBigCodeConfig,
    GPTBigCodeForCausalLM,
    JambaConfig,
    JambaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    Starcoder2Config,
    Starcoder2ForCausalLM,
)

from datamodules.encoding.packing import Sample, pack
from lightning_modules.models.forward.compute import ComputeConfig, check_packable, disable_dropout, prepare_causal_lm
from lightning_modules.models.forward.packed_forward import block_causal_mask, packed_mask, to_additive_mask
from lightning_modules.models.policy import Policy
from lightning_modules.training.packed_loss import completion_loss

COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with g++")
SAMPLES = [Sample([1, 5, 6], [7, 8, 2]), Sample([1, 9], [10, 11, 12, 2]), Sample([1, 4], [2])]


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, initializer_range=0.2, attention_dropout=0.5,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def loss_and_gradients(model, settings: ComputeConfig) -> tuple[torch.Tensor, list[torch.Tensor]]:
    model = copy.deepcopy(model)
    prepare_causal_lm(model, settings)
    disable_dropout(model)
    policy = Policy(model, compiled=settings.compile).train()
    loss, _ = completion_loss(policy, pack(SAMPLES, max_length=32, pad_id=0))
    loss.backward()
    return loss.detach(), [parameter.grad for parameter in model.parameters()]


def models_with_rates_in_other_places() -> list[PreTrainedModel]:
    """GPT-2 has layers of dropout; the others keep rates as numbers, under names of their own."""
    old = {"vocab_size": 20, "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 32}
    new = {"vocab_size": 20, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    rates = {"residual_dropout": 0.5, "embedding_dropout": 0.5}
    return [
        GPT2LMHeadModel(GPT2Config(**old)),
        GPTBigCodeForCausalLM(GPTBigCodeConfig(**old)),
        OPTForCausalLM(OPTConfig(**new, ffn_dim=32, word_embed_proj_dim=32, dropout=0.5, layerdrop=0.5)),
        Starcoder2ForCausalLM(Starcoder2Config(**new, **rates, num_key_value_heads=1, intermediate_size=32)),
    ]


def test_dropout_is_gone_from_attention_and_layers(model):
    for one in (model, *models_with_rates_in_other_places()):
        policy = Policy(one).train()
        batch = pack(SAMPLES, max_length=32, pad_id=0)
        assert completion_loss(policy, batch)[0] != completion_loss(policy, batch)[0], type(one)
        disable_dropout(policy)
        losses = {completion_loss(policy, batch)[0].item() for _ in range(4)}
        assert len(losses) == 1, type(one)


def test_gradient_checkpointing_computes_twice_and_changes_nothing(model):
    calls = []
    model.model.layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    plain = loss_and_gradients(model, ComputeConfig())
    assert len(calls) == 1
    again = loss_and_gradients(model, ComputeConfig(gradient_checkpointing=True))
    assert len(calls) == 3
    torch.testing.assert_close(again, plain)


def test_flex_masks_say_what_the_dense_ones_say():
    segments = torch.tensor([[1, 1, 2, 2, 2, 0], [1, 2, 3, 3, 0, 0]])
    mask = packed_mask(segments, flex=True)
    rows, queries, keys = torch.meshgrid(torch.arange(2), torch.arange(6), torch.arange(6), indexing="ij")
    allowed = mask.mask_mod(rows, torch.zeros_like(rows), queries, keys)
    assert torch.equal(allowed, block_causal_mask(segments)[:, 0])
    assert torch.equal(packed_mask(segments, flex=False), block_causal_mask(segments))


@COMPILER
@pytest.mark.slow
@pytest.mark.parametrize("change", [{"compile": True}])
def test_compiled_training_is_training(model, change):
    torch.testing.assert_close(
        loss_and_gradients(model, ComputeConfig(**change)), loss_and_gradients(model, ComputeConfig()),
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip


@COMPILER
def test_flex_attention_reads_packed_rows_as_dense_attention_does(model):
    batch = pack(SAMPLES, max_length=32, pad_id=0)
    everywhere = torch.ones_like(batch.input_ids, dtype=torch.bool)
    logits = {}
    for attention in ("sdpa", "flex"):
        one = copy.deepcopy(model)
        prepare_causal_lm(one, ComputeConfig(attention=attention))
        mask = packed_mask(batch.segment_ids, flex=attention == "flex")
        with torch.no_grad():
            logits[attention], _ = Policy(one).eval()(batch.input_ids, mask, batch.position_ids, everywhere)
    kept = (batch.segment_ids > 0).flatten()
    torch.testing.assert_close(logits["flex"][kept], logits["sdpa"][kept], atol=1e-4, rtol=1e-4)


def test_a_model_without_checkpointing_is_refused(model):
    model.supports_gradient_checkpointing = False
    with pytest.raises(ValueError, match="gradient_checkpointing: LlamaForCausalLM"):
        prepare_causal_lm(model, ComputeConfig(gradient_checkpointing=True))


def test_models_whose_state_packing_would_mix_are_refused():
    sizes = {"vocab_size": 24, "hidden_size": 32, "num_hidden_layers": 2}
    mamba = MambaForCausalLM(MambaConfig(**sizes, state_size=4))
    jamba = JambaForCausalLM(
        JambaConfig(
            **sizes, num_attention_heads=4, num_key_value_heads=2, intermediate_size=64, attn_layer_period=2,
            attn_layer_offset=1, mamba_d_state=4, num_experts=1,
        )
    )  # fmt: skip
    for recurrent in (mamba, jamba):
        with pytest.raises(ValueError, match=f"^{type(recurrent).__name__} has layers with a recurrent state"):
            check_packable(recurrent)
    with pytest.raises(ValueError, match="^BloomForCausalLM takes no position_ids"):
        check_packable(BloomForCausalLM(BloomConfig(vocab_size=24, hidden_size=32, n_layer=1, n_head=2)))
    for packable in models_with_rates_in_other_places():
        check_packable(packable)


def test_sampling_model_of_flex_attention_has_the_policy_s_weights(model):
    policy = Policy(model)
    prepare_causal_lm(model, ComputeConfig(attention="flex"))
    plain = policy.sampling_model(torch.bfloat16)
    assert (plain.config._attn_implementation, model.config._attn_implementation) == ("sdpa", "flex_attention")
    assert [p.data_ptr() for p in plain.parameters()] == [p.data_ptr() for p in model.parameters()]


def test_additive_mask_says_what_the_booleans_say(model):
    allowed = block_causal_mask(torch.tensor([[1, 1, 1, 2, 2, 0]]))
    additive = to_additive_mask(allowed)
    assert torch.equal(additive == 0, allowed)
    assert torch.equal(additive == -torch.inf, ~allowed)
    ids, positions = torch.tensor([[1, 5, 6, 7, 8, 0]]), torch.tensor([[0, 1, 2, 0, 1, 0]])
    logits = [
        model.eval()(input_ids=ids, attention_mask=mask, position_ids=positions).logits for mask in (allowed, additive)
    ]
    torch.testing.assert_close(*logits)
