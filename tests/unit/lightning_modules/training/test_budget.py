"""Tokens and floating point operations of a training, by hand."""

import pytest
from torch import nn

from datamodules.encoding.tokenizer import train_tokenizer
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from lightning_modules.training.budget import add_sampling, rl_budget, sft_budget
from lightning_modules.training.flops import count_multiplied_weights


def test_sft_by_hand():
    found = sft_budget({"atomic": (100, 60), "synthetic_train": (300, 200)}, num_weights=10)
    assert (found.total_tokens, found.completion_tokens, found.synthetic_completion_tokens) == (400, 260, 200)
    assert found.flops == 6 * 10 * 400


def test_pretraining_is_no_synthetic_completion():
    assert sft_budget({"pretraining": (100, 99)}, num_weights=10).synthetic_completion_tokens == 0


def test_atoms_of_either_kind_are_no_synthetic_completion():
    found = sft_budget({"tensor_atomic": (10, 5), "tensor_train": (10, 3), "atomic": (4, 4)}, num_weights=1)
    assert found.synthetic_completion_tokens == 3


def test_rl_by_hand():
    # sampled (2) and read by policy (2) and reference (2), trained on in two epochs (12): 18 for each of 120 tokens
    found = rl_budget(
        num_completions=7,
        completion_tokens=100.0,
        prompt_tokens=20.0,
        num_ppo_epochs=2,
        splits=["synthetic_rl"],
        num_weights=10,
    )
    assert found.flops == 18 * 10 * 120
    assert (found.total_tokens, found.completion_tokens, found.synthetic_completion_tokens) == (120, 100, 100)
    mixed = rl_budget(
        num_completions=3, completion_tokens=9, prompt_tokens=1, num_ppo_epochs=1, splits=["atomic"], num_weights=10
    )
    assert mixed.synthetic_completion_tokens == 0
    # a separate critic computes values (2) and is trained in four epochs (24)
    critic = rl_budget(
        num_completions=7, completion_tokens=100.0, prompt_tokens=20.0, num_ppo_epochs=2, num_critic_epochs=4,
        splits=["synthetic_rl"], num_weights=10,
    )  # fmt: skip
    assert critic.flops == (18 + 26) * 10 * 120
    assert (found.num_completions, mixed.num_completions) == (7, 3)


def test_rl_with_dynamic_sampling_and_examples_by_hand():
    # of 200 tokens a half is trained: 18 for each of 100 and 2 for the others; examples take 6
    found = rl_budget(
        num_completions=20,
        completion_tokens=160,
        prompt_tokens=40,
        num_ppo_epochs=2,
        splits=["synthetic_rl"],
        num_weights=10,
        trained_frac=0.5,
        sft_tokens=30,
    )
    assert found.flops == 18 * 10 * 100 + 2 * 10 * 100 + 6 * 10 * 30
    assert (found.total_tokens, found.completion_tokens) == (230, 160)


def test_sampling_adds_completions_and_operations_to_supervised_training():
    trained = sft_budget({"synthetic_train": (100, 60)}, num_weights=10)
    found = add_sampling(trained, num_completions=64, flops=2.0 * 10 * 500)
    assert (found.num_completions, found.flops) == (64, 6 * 10 * 100 + 10_000)
    assert found.total_tokens == 100


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_tokenizer(["def solve(a):\n    return a\n"], 300, tmp_path_factory.mktemp("tokenizer") / "t")


@pytest.mark.parametrize("tied", [True, False])
def test_an_embedding_counts_where_it_is_the_output_layer_too(tokenizer, tied):
    sizes = TinyLlamaConfig(hidden_size=8, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=8)
    model = build_causal_lm(sizes, tokenizer, 0)
    if not tied:
        model.set_output_embeddings(nn.Linear(8, model.config.vocab_size, bias=False))
    # query 8x8, key and value 8x4 each, output 8x8, three layers of the MLP 8x8, three norms of 8, output layer 8 x V
    assert count_multiplied_weights(model) == 64 + 32 + 32 + 64 + 3 * 64 + 3 * 8 + 8 * model.config.vocab_size
