import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from lightning_modules.generation.llama_decoder import LlamaDecoder, _stack, can_decode

SIZES = {
    "vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 64, "initializer_range": 0.3,
}  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip


def built(kind, **settings):
    torch.manual_seed(0)
    model_class, config_class = kind
    model = model_class(config_class(**(SIZES | settings))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # norms and biases that are not those of a fresh model
                parameter.add_(torch.rand_like(parameter) - 0.5)
    return model


LLAMA, QWEN2 = (LlamaForCausalLM, LlamaConfig), (Qwen2ForCausalLM, Qwen2Config)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (LLAMA, {}),
        (LLAMA, {"num_key_value_heads": 2}),
        (LLAMA, {"num_key_value_heads": 1, "tie_word_embeddings": True}),
        (LLAMA, {"head_dim": 16, "attention_bias": True, "mlp_bias": True}),
        (LLAMA, {"rope_parameters": LLAMA3}),
        (QWEN2, {"num_key_value_heads": 2}),
    ],
)
@torch.no_grad()
def test_every_step_gives_the_logits_of_transformers(kind, settings):
    model = built(kind, **settings)
    assert can_decode(model)
    decoder = LlamaDecoder(model, None)
    prompts = torch.tensor([[0, 0, 1, 5, 6], [1, 7, 8, 9, 10], [0, 1, 3, 4, 5]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]])
    cache = decoder.new_cache(5, 3)
    ids, positions = prompts, (mask.cumsum(1) - 1).clamp(min=0)
    written = torch.tensor([[11, 12, 13], [14, 15, 16], [17, 18, 19]])
    for step in range(4):
        logits = decoder(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache
        ).logits[:, -1]  # fmt: skip
        for row in range(3):
            alone = torch.cat([prompts[row][mask[row][:5].bool()], written[row, :step]])
            torch.testing.assert_close(logits[row], model(alone[None]).logits[0, -1], atol=1e-4, rtol=1e-4)
        if step == 0:
            cache.share(torch.arange(3), mask)
        if step < 3:
            ids, positions = written[:, step : step + 1], mask.sum(1, keepdim=True)
            mask = torch.cat([mask, torch.ones(3, 1, dtype=torch.long)], 1)


@torch.no_grad()
def test_bfloat16_is_of_the_projections_alone():
    model = built(LLAMA)
    ids = torch.tensor([[1, 5, 6, 7]])
    read = {
        "input_ids": ids, "attention_mask": torch.ones_like(ids), "position_ids": torch.arange(4)[None],
    }  # fmt: skip
    decoder = LlamaDecoder(model, torch.bfloat16)
    cache = decoder.new_cache(4, 8)
    logits = decoder(**read, past_key_values=cache).logits
    assert logits.dtype == torch.float32
    assert cache._prefix[0][0].dtype == torch.float32
    exact = model(ids).logits[:, -1:]
    assert not torch.equal(logits, exact)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(ids).logits[:, -1:].float()
    # as near to what training computes under autocast as that is to the exact numbers
    assert (logits - rounded).abs().mean() < 2 * (rounded - exact).abs().mean()


def test_other_models_are_left_to_transformers():
    sizes = {"vocab_size": 40, "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 16}
    assert not can_decode(GPT2LMHeadModel(GPT2Config(**sizes)))
    assert not can_decode(built(QWEN2, use_sliding_window=True, sliding_window=4, max_window_layers=0))


def test_missing_biases_are_on_the_device_of_the_weights():
    with torch.device("meta"):
        layers = [torch.nn.Linear(4, 3, bias=False), torch.nn.Linear(4, 2, bias=True)]
    stacked = _stack(layers, None)
    assert stacked.bias is not None
    assert (stacked.bias.device.type, stacked.bias.shape) == ("meta", (5,))
