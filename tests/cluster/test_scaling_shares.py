"""Two gloo ranks under fsdp2 hold the bytes that `benchmarks.scaling` computes."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.scaling import ONE, Layout, ModelSizes, RunSizes, compute_memory
from lightning_modules.models.forward.packed_forward import packed_mask
from lightning_modules.models.policy import Policy
from lightning_modules.models.reference import ReferencePolicy
from lightning_modules.training.optimizers import RLOptimizerConfig, build_rl_adamw
from tests.support.preloaded import run_ranks

SIZES = ModelSizes(
    name="small", hidden_size=64, num_layers=2, num_heads=4, num_kv_heads=2, intermediate_size=96, vocab_size=300,
    tie_embeddings=True,
)  # fmt: skip
RUN = RunSizes(
    num_completions=2, samples_per_prompt=1, minibatch_size=2, prompt_tokens=24, completion_tokens=39, max_new_tokens=40
)
SHARDED = Layout(num_nodes=1, gpus_per_node=2, strategy="fsdp2")


def bytes_held(tensor: torch.Tensor) -> int:
    return tensor.to_local().nbytes if isinstance(tensor, DTensor) else tensor.nbytes


def train_once(folder: str) -> None:
    """Score, train and sample once, and write what this rank holds."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (2,))
    config = LlamaConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=96,
        vocab_size=300, tie_word_embeddings=True,
    )  # fmt: skip
    policy = Policy(LlamaForCausalLM._from_config(config, attn_implementation="sdpa"), critic="shared")
    reference = ReferencePolicy(policy)
    reference.shard(mesh)
    policy.shard(mesh)
    optimizer = build_rl_adamw(policy, RLOptimizerConfig())
    ids, positions = torch.full((2, 64), 7), torch.arange(64).repeat(2, 1)
    mask, chosen = packed_mask(torch.ones_like(ids), flex=False), torch.ones_like(ids, dtype=torch.bool)
    frozen = list(reference._policy.parameters())
    held = {"reference_at_first": sum(map(bytes_held, frozen))}
    with torch.autocast("cpu", torch.bfloat16):
        reference.forward(ids, mask, positions, chosen, lambda logits, part: (logits.sum(-1),))
        logits, values = policy(ids, mask, positions, chosen)
    (logits.float().logsumexp(-1).mean() + values.mean()).backward()
    optimizer.step()
    plain = policy.sampling_model(torch.bfloat16)
    moments = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    held |= {
        "weights": sum(map(bytes_held, policy.parameters())),
        "gradients": sum(bytes_held(p.grad) for p in policy.parameters() if p.grad is not None),
        "optimizer": sum(map(bytes_held, moments)),
        "reference_read": sum(map(bytes_held, reference._policy.parameters())),
        "sampling_copy": sum(map(bytes_held, plain.parameters())),
    }
    Path(folder, f"{os.environ['RANK']}.json").write_text(json.dumps(held), encoding="utf-8")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict[str, int]]:
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(__name__, [str(folder)], 2, folder=folder)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_each_rank_holds_its_shard(ranks):
    memory, whole = compute_memory(SIZES, RUN, SHARDED), compute_memory(SIZES, RUN, ONE)
    for name in ("weights", "gradients", "optimizer"):
        # the value head has one row, on the first rank: 65 numbers, 260 bytes of each kind
        uneven = 65 * 4 * (2 if name == "optimizer" else 1)
        assert [rank[name] for rank in ranks] == pytest.approx([memory[name]] * 2, abs=uneven), name
        assert sum(rank[name] for rank in ranks) == whole[name], name
    assert [rank["reference_at_first"] for rank in ranks] == [memory["reference"]] * 2


def test_reference_embedding_stays_gathered_after_a_forward_pass(ranks):
    memory = compute_memory(SIZES, RUN, SHARDED)
    assert [rank["reference_read"] for rank in ranks] == [memory["reference"] + memory["reference_whole"]] * 2


def test_each_rank_samples_from_a_whole_copy(ranks):
    stacked = compute_memory(SIZES, RUN, ONE)["sampling_weights"]
    computed = compute_memory(SIZES, RUN, SHARDED)["sampling_weights"]
    assert [rank["sampling_copy"] + stacked for rank in ranks] == [computed] * 2


if __name__ == "__main__":
    train_once(sys.argv[1])
