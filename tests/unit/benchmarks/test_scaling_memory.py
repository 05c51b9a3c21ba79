"""The memory arithmetic against published counts and against the bytes that torch really holds."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

ROOT = Path(__file__).resolve().parents[3]
from benchmarks.cost import memory, tables  # noqa: E402
from benchmarks.cost.layout import Layout, RunSizes  # noqa: E402
from benchmarks.cost.sizes import QWEN_0_5B, QWEN_1_5B, QWEN_7B, ModelSizes, sizes_of  # noqa: E402
from lightning_modules.generation.kv_cache import new_cache  # noqa: E402
from lightning_modules.generation.llama_decoder import LlamaDecoder  # noqa: E402
from lightning_modules.models.compute import ComputeConfig, prepare_causal_lm  # noqa: E402
from lightning_modules.models.policy import Policy  # noqa: E402
from lightning_modules.models.reference import ReferencePolicy  # noqa: E402
from lightning_modules.models.tiny_llama import TinyLlamaConfig  # noqa: E402
from lightning_modules.rl.config import RLOptimizerConfig  # noqa: E402
from lightning_modules.rl.numerics import token_logprobs  # noqa: E402
from lightning_modules.training.optimizers import build_rl_adamw  # noqa: E402
from lightning_modules.training.packed_loss import packed_mask  # noqa: E402

SMALL = ModelSizes(
    name="small", hidden_size=64, num_layers=3, num_heads=4, num_kv_heads=2, intermediate_size=96, vocab_size=300,
    tie_embeddings=True,
)  # fmt: skip
ONE = Layout(num_nodes=1, gpus_per_node=1, strategy="one")


def causal_lm_of(sizes: ModelSizes):
    settings = {
        "hidden_size": sizes.hidden_size, "num_hidden_layers": sizes.num_layers, "vocab_size": sizes.vocab_size,
        "num_attention_heads": sizes.num_heads, "num_key_value_heads": sizes.num_kv_heads,
        "intermediate_size": sizes.intermediate_size, "tie_word_embeddings": sizes.tie_embeddings,
    }  # fmt: skip
    if sizes.qkv_bias:
        return Qwen2ForCausalLM._from_config(Qwen2Config(**settings), attn_implementation="sdpa")
    return LlamaForCausalLM._from_config(LlamaConfig(**settings), attn_implementation="sdpa")


def run_of(**changed) -> RunSizes:
    """Two rows of 64 tokens: 24 of a prompt (less the one that its answer repeats) and 40 of an answer."""
    sizes = {
        "prompts_per_iteration": 2, "samples_per_prompt": 1, "minibatch_size": 2, "prompt_tokens": 24,
        "response_tokens": 39, "longest_response": 40,
    }  # fmt: skip
    return RunSizes(**(sizes | changed))


@pytest.mark.parametrize(
    ("sizes", "published"), [(QWEN_0_5B, 494_032_768), (QWEN_1_5B, 1_543_714_304), (QWEN_7B, 7_615_616_512)]
)
def test_models_have_the_weights_their_makers_say(sizes, published):
    assert sizes.num_weights == published


@pytest.mark.parametrize("critic", [None, "shared", "separate"])
@pytest.mark.parametrize("changed", [{}, {"tie_embeddings": False, "qkv_bias": True}])
def test_weights_gradients_and_moments_are_those_torch_holds(changed, critic):
    sizes = ModelSizes(**(vars(SMALL) | changed))
    policy = Policy(causal_lm_of(sizes), critic=critic)
    optimizer = build_rl_adamw(policy, RLOptimizerConfig())
    sum(parameter.sum() for parameter in policy.parameters()).backward()  # pyright: ignore
    optimizer.step()
    said = memory.rank_memory(sizes, run_of(critic=critic), ONE)
    assert said.weights == sum(parameter.nbytes for parameter in policy.parameters())
    assert said.gradients == sum(
        parameter.grad.nbytes for parameter in policy.parameters() if parameter.grad is not None
    )
    moments = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    assert said.optimizer == sum(value.nbytes for value in moments)
    frozen = ReferencePolicy(policy)._policy
    assert said.reference == sum(parameter.nbytes for parameter in frozen.parameters())
    assert (said.ddp_buckets, said.reference_whole, said.gathered) == (0, 0, 0)


def test_the_decoder_s_matrices_are_the_weights_to_sample_from():
    decoder = LlamaDecoder(causal_lm_of(SMALL), torch.bfloat16)
    matrices = [decoder._head, *(p for b in decoder._blocks for p in (b.qkv, b.output, b.gate_up, b.down))]
    said = memory.rank_memory(SMALL, run_of(), ONE).sampling_weights
    assert said == sum(matrix.weight.nbytes for matrix in matrices)


def test_the_cache_has_the_bytes_of_its_buffers():
    model = causal_lm_of(SMALL).to(torch.bfloat16)
    cache = new_cache(model.config, capacity=64)
    with torch.no_grad():
        model(torch.ones(2, 24, dtype=torch.long), past_key_values=cache, use_cache=True)
    buffers = [buffer for layer in cache.layers for buffer in (layer._key_buffer, layer._value_buffer)]
    assert {buffer.dtype for buffer in buffers} == {torch.bfloat16}
    assert memory.rank_memory(SMALL, run_of(), ONE).kv_cache == sum(buffer.nbytes for buffer in buffers)


@pytest.mark.parametrize("sizes", [SMALL, ModelSizes(**(vars(SMALL) | {"intermediate_size": 320, "num_layers": 5}))])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_what_autograd_keeps(sizes, checkpointing):
    """Bytes kept for the backward pass, less what is weights or belongs to the ends of the model."""
    kept = kept_for_backward(sizes, checkpointing=checkpointing)
    fewer = ModelSizes(**(vars(sizes) | {"num_layers": sizes.num_layers - 1}))
    of_a_block = kept["activations"] - kept_for_backward(fewer, checkpointing=checkpointing)["activations"]
    run = run_of(gradient_checkpointing=checkpointing)
    said = [memory.activation_bytes(model, run, ONE) for model in (sizes, fewer)]
    assert said[0] - said[1] == pytest.approx(of_a_block, rel=0.01)
    if not checkpointing:
        assert kept["weights"] == memory.rank_memory(sizes, run, ONE).autocast_weights + 2 * sizes.hidden_size


def kept_for_backward(sizes: ModelSizes, *, checkpointing: bool) -> dict[str, int]:
    """Train two rows of 64 tokens under bf16 autocast as `rl_loss` does, and count what autograd was given to keep."""
    causal_lm = causal_lm_of(sizes)
    prepare_causal_lm(causal_lm, ComputeConfig(gradient_checkpointing=checkpointing))
    policy = Policy(causal_lm, critic="shared").train()
    ids = torch.randint(3, sizes.vocab_size, (2, 64), generator=torch.Generator().manual_seed(0))
    segments, positions = torch.ones_like(ids), torch.arange(64).repeat(2, 1)
    chosen = torch.zeros_like(ids, dtype=torch.bool)
    chosen[:, 24:63] = True
    tokens = ids[:, 1:][chosen[:, :-1]]
    parameters = {parameter.untyped_storage().data_ptr() for parameter in policy.parameters()}
    weight_shapes = {tuple(p.shape) for p in policy.parameters() if p.ndim == 2}
    weight_shapes |= {shape[::-1] for shape in weight_shapes}
    kept: dict[int, tuple[int, bool, torch.Tensor]] = {}  # tensors stay alive, so that no address comes twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            is_weight = tensor.dtype == torch.bfloat16 and tuple(tensor.shape) in weight_shapes
            kept[storage.data_ptr()] = (storage.nbytes(), is_weight, tensor)
        return tensor

    def of_logits(logits: torch.Tensor, part: slice) -> tuple[torch.Tensor]:
        return (token_logprobs(logits, tokens[part]),)

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16):
        policy(ids, packed_mask(segments, flex=False), positions, chosen, of_logits)
    return {
        "weights": sum(size for size, is_weight, _ in kept.values() if is_weight),
        "activations": sum(size for size, is_weight, _ in kept.values() if not is_weight),
    }


def test_a_large_model_by_hand():
    """Qwen2.5-Coder-7B on 8 GPUs: GB as 4 bytes (weights) times 7.6156 billion over 8 shards, and so on."""
    found = tables.memory_of(QWEN_7B, tables.FSDP_1X8)
    assert found.weights == pytest.approx(7.6156e9 * 4 / 8, rel=1e-4)
    assert found.optimizer == pytest.approx(7.6156e9 * 8 / 8, rel=1e-4)
    # a whole copy in bfloat16, and once more all but the embedding (152064 x 3584), norms and biases
    assert found.sampling_weights == pytest.approx(2 * (7.6156e9 + 7.6156e9 - 545.0e6), rel=1e-3)
    # 28 layers x (key and value) x 4 heads of 128 x 2 bytes = 57344 a token; 128 rows of 256 + 512 tokens
    assert found.kv_cache == 57344 * 128 * 768
    assert (
        found.peak == found.generating == found.kept + found.sampling_weights + found.kv_cache + found.sampling_logits
    )
    ddp = tables.memory_of(QWEN_7B, tables.DDP_1X8)
    assert ddp.kept == pytest.approx(24 * 7.6156e9, rel=1e-3)  # 4 + 4 + 8 + 4 for the reference + 4 for the buckets


def test_sizes_of_a_model_from_scratch():
    sizes = sizes_of(TinyLlamaConfig(), name="tiny", vocab_size=6144)
    assert sizes.num_weights == sum(parameter.numel() for parameter in causal_lm_of(sizes).parameters())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"minibatch_size": 3}, "minibatch_size 3 does not divide 2 responses"),
        ({"prompt_tokens": 0}, "prompt_tokens is 0"),
    ],
)
def test_sizes_that_make_no_iteration_are_refused(changed, said):
    with pytest.raises(ValueError, match=said):
        run_of(**changed)


def test_a_strategy_that_does_not_go_with_the_ranks_is_refused():
    with pytest.raises(ValueError, match="8 ranks and strategy one"):
        Layout(num_nodes=1, gpus_per_node=8, strategy="one")
