"""The supervised term by hand: a uniform model loses log V nats per token, however the examples are divided."""

import math

import pytest
import torch

from datamodules.encoding.packing import Sample, pack
from datamodules.encoding.tokenizer import train_tokenizer
from lightning_modules.models.policy import Policy
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from lightning_modules.rl.objectives.sft_loss import sft_loss
from lightning_modules.training.packed_loss import completion_loss
from tests.unit.datamodules.rl.test_sft_examples import empty_batch

SAMPLES = [Sample([1, 5], [6, 7, 2]), Sample([1], [9, 2]), Sample([1, 8, 8], [5, 5, 5, 2])]


@pytest.fixture
def policy(tmp_path) -> Policy:
    tokenizer = train_tokenizer(["def solve(x): return x"], 300, tmp_path / "tokenizer")
    sizes = TinyLlamaConfig(hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=16)
    return Policy(build_causal_lm(sizes, tokenizer, 0))


def batch_of(*samples: Sample):
    return empty_batch()._replace(sft=pack(samples, max_length=64, pad_id=0))


def test_a_uniform_model_by_hand(policy: Policy) -> None:
    for parameter in policy.parameters():
        torch.nn.init.zeros_(parameter)
    vocab_size = policy.causal_lm.config.vocab_size
    loss = sft_loss(policy, batch_of(*SAMPLES), torch.tensor(9.0))  # 3 + 2 + 4 completion tokens
    assert float(loss.detach()) == pytest.approx(math.log(vocab_size), rel=1e-5)


def test_micro_batches_average_to_the_whole_step(policy: Policy) -> None:
    whole = sft_loss(policy, batch_of(*SAMPLES), torch.tensor(9.0))
    parts = [sft_loss(policy, batch_of(*part), torch.tensor(4.5)) for part in (SAMPLES[:1], SAMPLES[1:])]
    torch.testing.assert_close(sum(parts) / 2, whole)
    total, num_labels = completion_loss(policy, batch_of(*SAMPLES).sft)  # type: ignore[arg-type]
    torch.testing.assert_close(total / num_labels, whole)
