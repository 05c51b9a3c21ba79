"""Floating point operations of training, worked by hand and counted by torch."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from datamodules.batches import RolloutBatch, SFTBatch
from datamodules.encoding.tokenizer import train_tokenizer
from lightning_modules.models.policy import Policy
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from lightning_modules.training import flops
from lightning_modules.training.flops import (
    MinibatchSize,
    TrainingCost,
    measure_minibatch,
    measured_gemm_flops_per_s,
    minibatch_flops,
    peak_flops_per_s,
    peak_memory_mib,
    training_cost,
    training_dtype,
)
from lightning_modules.training.packed_loss import completion_loss

SIZES = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "intermediate_size": 48}
# of a layer: q and o 32 x 32 each, k and v 32 x 16 each, gate, up and down 32 x 48 each, two norms of 32
LAYER = 2 * 1024 + 2 * 512 + 3 * 1536 + 2 * 32
TRUNK = 2 * LAYER + 32  # and the last norm
NORMS = 5 * 32


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_tokenizer(["def solve(x): return x"], 280, tmp_path_factory.mktemp("tokenizer"))


def policy_of(tokenizer, critic=None, **settings) -> Policy:
    return Policy(build_causal_lm(TinyLlamaConfig(**(SIZES | settings)), tokenizer, 0), critic=critic)


def sft_batch(segment_ids: list[list[int]], labelled: list[list[int]]) -> SFTBatch:
    segments = torch.tensor(segment_ids)
    positions = torch.zeros_like(segments)
    for r, row in enumerate(segment_ids):
        for t in range(1, len(row)):
            positions[r, t] = positions[r, t - 1] + 1 if row[t] == row[t - 1] else 0
    labels = torch.where(torch.tensor(labelled, dtype=torch.bool), 7, -100)
    return SFTBatch(torch.full_like(segments, 5), positions, segments, labels, num_samples=0)


@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_cost_of_a_llama_by_hand(tokenizer, tie_embeddings):
    cost = training_cost(policy_of(tokenizer, tie_embeddings=tie_embeddings))
    # attention: 12 x 2 layers x 4 heads x width 32/4 = 768 a pair; the output layer is 32 x the vocabulary
    assert cost == TrainingCost(per_token=6 * TRUNK, per_pair=768, per_prediction=6 * 32 * len(tokenizer))


def test_a_critic_of_its_own_costs_nothing_in_the_steps_of_the_policy(tokenizer):
    plain = training_cost(policy_of(tokenizer))
    assert training_cost(policy_of(tokenizer, "shared")) == training_cost(policy_of(tokenizer, "separate")) == plain


def test_frozen_weights_take_no_gradient_of_their_own(tokenizer):
    policy = policy_of(tokenizer)
    policy.requires_grad_(False)
    policy.causal_lm.model.layers[1].requires_grad_(True)
    cost = training_cost(policy)
    assert cost.per_token == 6 * LAYER + 4 * (LAYER + 32)
    assert cost.per_prediction == 4 * 32 * len(tokenizer)


def test_what_a_packed_minibatch_holds():
    batch = sft_batch([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 0, 0]], [[0, 0, 1, 0, 1, 0], [0, 0, 1, 1, 0, 0]])
    # samples of 3, 2 and 4 tokens: 9 + 4 + 16 pairs
    assert measure_minibatch(batch) == MinibatchSize(
        num_samples=3, num_positions=12, num_tokens=9, num_pairs=29, num_predictions=4
    )
    numbers = torch.zeros(2, 5)
    mask = torch.tensor([[0, 1, 0, 1, 0], [0, 1, 1, 1, 0]], dtype=torch.bool)
    branches = torch.tensor([[0, 1, 1, 1, 1, 0], [0, 1, 1, 2, 0, 0]])  # one answer, one answer; two answers
    rollouts = RolloutBatch(
        batch.input_ids, batch.position_ids, batch.segment_ids, branches, mask, *[numbers] * 5,
        num_tokens=torch.tensor(5.0),
    )  # fmt: skip
    assert measure_minibatch(rollouts) == measure_minibatch(batch)._replace(num_predictions=5, num_samples=4)
    assert measure_minibatch(rollouts._replace(trains_critic=True)).num_predictions == 0


def test_flops_by_hand():
    cost = TrainingCost(per_token=100, per_pair=10, per_prediction=1000)
    assert minibatch_flops(cost, MinibatchSize(3, 12, 9, 29, 4)) == 900 + 290 + 4000


def test_torch_counts_the_same(tokenizer):
    """Run one sample without padding through attention that is plain matrix products."""
    length = 11
    batch = sft_batch([[1] * length], [[0] * 5 + [1] * 6])
    policy = policy_of(tokenizer)
    policy.causal_lm.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        completion_loss(policy, batch)[0].backward()
    norms = 6 * NORMS * length  # are no matrix products, which are all that torch counts
    assert minibatch_flops(training_cost(policy), measure_minibatch(batch)) == counter.get_total_flops() + norms


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("bf16-mixed", torch.bfloat16), ("bf16-true", torch.bfloat16), ("16-mixed", torch.float16),
        ("32-true", torch.float32), ("64-true", torch.float64),
    ],
)  # fmt: skip
def test_numbers_of_a_precision(precision, dtype):
    assert training_dtype(precision) is dtype


def test_the_fastest_of_five_products_counts(monkeypatch):
    durations_s, now = iter([4.0, 2.0, 0.5, 1.0, 3.0]), [0.0]
    products = []

    def multiply(left, right):
        products.append((left.shape, left.dtype))
        now[0] += next(durations_s)

    monkeypatch.setattr(flops, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(torch, "mm", multiply)
    # 2 n^3 operations of n = 1024 in half a second
    assert measured_gemm_flops_per_s(torch.bfloat16) == 2 * 2**30 / 0.5
    assert products == [((1024, 1024), torch.bfloat16)] * 5


def test_a_gpu_s_peak_is_the_maker_s(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100-SXM4-80GB")
    assert peak_flops_per_s(torch.device("cuda", 0), torch.bfloat16) == 312e12  # NVIDIA's data sheet, dense


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4), ("NVIDIA H100 PCIe", 756), ("NVIDIA H100 NVL", 835), ("NVIDIA H200", 989.4),
        ("NVIDIA GH200 480GB", 989.4), ("NVIDIA B200", 2250), ("NVIDIA L4", 121), ("NVIDIA L40", 181),
        ("NVIDIA L40S", 362), ("NVIDIA A10G", 70), ("NVIDIA A10", 125), ("NVIDIA A40", 149.7),
        ("NVIDIA RTX 6000 Ada Generation", 364.2), ("NVIDIA GeForce RTX 4090", 165.2),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None), ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None), ("Tesla T4", None),
    ],
)  # fmt: skip
def test_peaks_are_those_of_data_sheets_for_dense_bfloat16(monkeypatch, name, teraflops):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    expected = None if teraflops is None else teraflops * 1e12
    assert peak_flops_per_s(torch.device("cuda", 0), torch.bfloat16) == expected


def test_peak_of_resident_memory_is_what_the_kernel_says():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    assert peak_memory_mib(torch.device("cpu")) == pytest.approx(int(status["VmHWM"].split()[0]) / 1024, rel=0.05)
