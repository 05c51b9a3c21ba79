"""Memory against published weight counts and the bytes that torch holds; traffic by hand."""

from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from benchmarks import scaling
from benchmarks.scaling import Layout, ModelSizes, RunSizes, compute_memory
from lightning_modules.generation.llama_decoder import LlamaDecoder
from lightning_modules.models.forward.compute import ComputeConfig, prepare_causal_lm
from lightning_modules.models.forward.packed_forward import packed_mask
from lightning_modules.models.policy import Policy
from lightning_modules.models.reference import ReferencePolicy
from lightning_modules.rl.objectives.numerics import token_logprobs
from lightning_modules.training.optimizers import RLOptimizerConfig, build_rl_adamw

SMALL = ModelSizes(
    name="small", hidden_size=64, num_layers=3, num_heads=4, num_kv_heads=2, intermediate_size=96, vocab_size=300,
    tie_embeddings=True,
)  # fmt: skip
ONE = scaling.ONE
DDP = Layout(num_nodes=1, gpus_per_node=2, strategy="ddp")
FSDP = Layout(num_nodes=2, gpus_per_node=2, strategy="fsdp2")
TWO_ROWS = RunSizes(  # 64 tokens each: 24 of the prompt, its last one again, 39 of the completion
    num_completions=2, minibatch_size=2, samples_per_prompt=1, prompt_tokens=24, completion_tokens=39,
    max_new_tokens=40, gradient_checkpointing=False,
)  # fmt: skip
ITERATION = RunSizes(
    num_completions=32, minibatch_size=16, samples_per_prompt=4, prompt_tokens=20, completion_tokens=30,
    max_new_tokens=40, logprob_batch_size=8, gradient_checkpointing=False,
)  # fmt: skip


def build_causal_lm(sizes: ModelSizes):
    settings = {
        "hidden_size": sizes.hidden_size, "num_hidden_layers": sizes.num_layers, "vocab_size": sizes.vocab_size,
        "num_attention_heads": sizes.num_heads, "num_key_value_heads": sizes.num_kv_heads,
        "intermediate_size": sizes.intermediate_size, "tie_word_embeddings": sizes.tie_embeddings,
    }  # fmt: skip
    if sizes.qkv_bias:
        return Qwen2ForCausalLM._from_config(Qwen2Config(**settings), attn_implementation="sdpa")
    return LlamaForCausalLM._from_config(LlamaConfig(**settings), attn_implementation="sdpa")


@pytest.mark.parametrize(
    ("sizes", "published"),
    [(scaling.QWEN_0_5B, 494_032_768), (scaling.QWEN_1_5B, 1_543_714_304), (scaling.QWEN_7B, 7_615_616_512)],
)
def test_num_weights_is_the_published_count(sizes, published):
    assert sizes.num_weights == published


@pytest.mark.parametrize("changed", [{}, {"tie_embeddings": False, "qkv_bias": True}])
def test_training_memory_is_what_torch_holds(changed):
    sizes = replace(SMALL, **changed)
    policy = Policy(build_causal_lm(sizes), critic="shared")
    optimizer = build_rl_adamw(policy, RLOptimizerConfig())
    sum(parameter.sum() for parameter in policy.parameters()).backward()  # pyright: ignore
    optimizer.step()
    memory = compute_memory(sizes, TWO_ROWS, ONE)
    assert memory["weights"] == sum(parameter.nbytes for parameter in policy.parameters())
    assert memory["gradients"] == sum(parameter.grad.nbytes for parameter in policy.parameters())  # pyright: ignore
    moments = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    assert memory["optimizer"] == sum(value.nbytes for value in moments)
    assert memory["reference"] == sum(parameter.nbytes for parameter in ReferencePolicy(policy)._policy.parameters())
    assert (memory["ddp_buckets"], memory["reference_whole"], memory["gathered"]) == (0, 0, 0)


def test_sampling_weights_are_the_matrices_of_the_decoder():
    decoder = LlamaDecoder(build_causal_lm(SMALL), torch.bfloat16)
    matrices = [decoder._head, *(p for b in decoder._blocks for p in (b.qkv, b.output, b.gate_up, b.down))]
    assert compute_memory(SMALL, TWO_ROWS, ONE)["sampling_weights"] == sum(matrix.weight.nbytes for matrix in matrices)


def test_kv_cache_has_the_bytes_of_its_buffers():
    model = build_causal_lm(SMALL).to(torch.bfloat16)
    decoder = LlamaDecoder(model, torch.bfloat16)
    cache = decoder.new_cache(24, 40)
    ids = torch.ones(1, 24, dtype=torch.long)
    positions = torch.arange(24)[None]
    with torch.no_grad():
        decoder(input_ids=ids, attention_mask=ids, position_ids=positions, past_key_values=cache)
    cache.share(torch.zeros(2, dtype=torch.long), ids)
    buffers = [buffer for layer in (*cache._prefix, *cache._suffix) for buffer in layer]
    run = replace(TWO_ROWS, samples_per_prompt=2)
    in_half = sum(buffer.numel() * 2 for buffer in buffers)  # on CPUs the cache is in float32
    assert compute_memory(SMALL, run, ONE)["kv_cache"] == in_half


@pytest.mark.parametrize("sizes", [SMALL, replace(SMALL, intermediate_size=320, num_layers=5)])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_of_a_block_are_what_autograd_keeps(sizes, checkpointing):
    fewer = replace(sizes, num_layers=sizes.num_layers - 1)
    weights, kept = measure_kept_bytes(sizes, checkpointing=checkpointing)
    _, kept_by_fewer = measure_kept_bytes(fewer, checkpointing=checkpointing)
    run = replace(TWO_ROWS, gradient_checkpointing=checkpointing)
    computed = [compute_memory(model, run, ONE)["activations"] for model in (sizes, fewer)]
    assert computed[0] - computed[1] == pytest.approx(kept - kept_by_fewer, rel=0.01)
    if not checkpointing:
        assert (
            weights == compute_memory(sizes, run, ONE)["autocast_weights"] + 2 * sizes.hidden_size
        )  # and the value head


def measure_kept_bytes(sizes: ModelSizes, *, checkpointing: bool) -> tuple[int, int]:
    """Run the forward pass of an update under bf16 autocast; return the bytes autograd keeps: weights, others."""
    causal_lm = build_causal_lm(sizes)
    prepare_causal_lm(causal_lm, ComputeConfig(gradient_checkpointing=checkpointing))
    policy = Policy(causal_lm, critic="shared").train()
    ids = torch.randint(3, sizes.vocab_size, (2, 64), generator=torch.Generator().manual_seed(0))
    positions, selected = torch.arange(64).repeat(2, 1), torch.zeros_like(ids, dtype=torch.bool)
    selected[:, 24:63] = True
    tokens = ids[:, 1:][selected[:, :-1]]
    parameters = {parameter.untyped_storage().data_ptr() for parameter in policy.parameters()}
    weight_shapes = {tuple(p.shape) for p in policy.parameters() if p.ndim == 2}
    weight_shapes |= {shape[::-1] for shape in weight_shapes}
    kept: dict[int, tuple[int, bool, torch.Tensor]] = {}  # holds the tensors, so that no address is used twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            is_weight = tensor.dtype == torch.bfloat16 and tuple(tensor.shape) in weight_shapes
            kept[storage.data_ptr()] = (storage.nbytes(), is_weight, tensor)
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16):
        policy(
            ids, packed_mask(torch.ones_like(ids), flex=False), positions, selected,
            lambda logits, part: (token_logprobs(logits, tokens[part]),),
        )  # fmt: skip
    weights = sum(size for size, is_weight, _ in kept.values() if is_weight)
    return weights, sum(size for size, is_weight, _ in kept.values() if not is_weight)


def test_memory_of_a_large_model_by_hand():
    run = scaling.build_run(4096, scaling.FSDP_1X8)
    memory = compute_memory(scaling.QWEN_7B, run, scaling.FSDP_1X8)
    assert memory["weights"] == pytest.approx(7.6156e9 * 4 / 8, rel=1e-4)
    assert memory["optimizer"] == pytest.approx(7.6156e9 * 8 / 8, rel=1e-4)
    # a whole copy in bfloat16, and once more all but the embedding (152064 x 3584), norms and biases
    assert memory["sampling_weights"] == pytest.approx(2 * (7.6156e9 + 7.6156e9 - 545.0e6), rel=1e-3)
    # 28 layers x (key and value) x 4 heads of 128 x 2 bytes = 57344 a token; 16 prompts of 256, 128 rows of 512 tokens
    assert memory["kv_cache"] == 57344 * (16 * 256 + 128 * 512)
    ddp = compute_memory(scaling.QWEN_7B, run, scaling.DDP_1X8)
    assert ddp["kept"] == pytest.approx(20 * 7.6156e9, rel=1e-3)  # 4 + 8 + 4 for the reference + 4 for the buckets


def test_traffic_by_hand():
    weights, trained, blocks = SMALL.num_weights, SMALL.num_trained, 3 * SMALL.block_weights
    assert scaling.count_traffic(SMALL, ITERATION, ONE) == 0
    # two optimizer steps, a ring of two: each rank receives half the gradients twice
    assert scaling.count_traffic(SMALL, ITERATION, DDP) == 2 * 4 * trained
    # four ranks receive three quarters: policy and reference once for log-probabilities, the policy to sample from;
    # in each of two steps the blocks twice, the other weights once, and all gradients
    expected = 0.75 * 4 * (trained + 2 * weights + 2 * (2 * blocks + weights - blocks + trained))
    assert scaling.count_traffic(SMALL, ITERATION, FSDP) == pytest.approx(expected)
