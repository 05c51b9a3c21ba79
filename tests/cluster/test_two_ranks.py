"""Two ranks over gloo train on the same responses and minibatches as one, and report the same scores.

Real processes on models of a few thousand weights.
"""

from pathlib import Path

import pytest
import torch

from datamodules.encoding.tokenizer import train_tokenizer, training_texts
from datamodules.eval_data import load_dataset
from lightning_modules.models.loading import load_policy
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from tests.cluster.ends_of_training import RANKS
from tests.support.preloaded import run_ranks
from tests.support.small_data import write_small_data

TINY = TinyLlamaConfig(
    hidden_size=32, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=48, max_position=128
)


def ends_of_training(kind: str, strategy: str, scratch: Path) -> list[dict]:
    """Train and read what each rank ended with."""
    num_ranks = RANKS[strategy]
    arguments = [strategy, str(scratch / "data"), str(scratch)]
    run_ranks(f"tests.cluster.two_ranks_{kind}", arguments, num_ranks, folder=scratch)
    return [torch.load(scratch / f"{kind}_{strategy}_{rank}.pt", weights_only=True) for rank in range(num_ranks)]


def assert_ranks_are_one(one: dict, two: list[dict], strategy: str) -> None:
    assert one["weights"].keys() == two[0]["weights"].keys()
    for name, value in one["weights"].items():
        assert torch.equal(two[0]["weights"][name], two[1]["weights"][name])
        torch.testing.assert_close(two[0]["weights"][name], value, rtol=0, atol=2e-5)
    assert [end["is_sharded"] for end in (one, *two)] == [False, strategy == "fsdp2", strategy == "fsdp2"]
    assert len(one["losses"]) >= 4
    assert two[0]["losses"] == pytest.approx(one["losses"], abs=1e-5)


@pytest.fixture(scope="module")
def sft_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sft")
    write_small_data(folder / "data")
    return folder


@pytest.fixture(scope="module")
def sft_on_one(sft_folder) -> dict:
    [one] = ends_of_training("sft", "one", sft_folder)
    return one


@pytest.fixture(scope="module")
def ppo_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ppo")
    data_dir = write_small_data(folder / "data", synthetic_rl=6)
    tokenizer = train_tokenizer(training_texts(load_dataset(data_dir)), 300, data_dir / "tokenizer")
    model = build_causal_lm(TINY, tokenizer, 1)
    with torch.no_grad():  # sharper than a fresh one
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(8)
    model.save_pretrained(folder / "start")
    tokenizer.save_pretrained(folder / "start")
    return folder


@pytest.fixture(scope="module")
def ppo_on_one(ppo_folder) -> dict:
    [one] = ends_of_training("ppo", "one", ppo_folder)
    return one


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp2", marks=pytest.mark.slow)])
def test_sft_on_two_ranks_is_sft_on_one(strategy, sft_folder, sft_on_one):
    one, two = sft_on_one, ends_of_training("sft", strategy, sft_folder)
    assert_ranks_are_one(one, two, strategy)
    # three tasks on two ranks, 2 and 1: of tasks 0, 1 and 2 the even ones pass
    assert one["metrics"]["pass_at_k/synthetic_val/greedy"] == pytest.approx(2 / 3)
    shared = [tag for tag in one["metrics"] if tag.startswith(("pass_at_k/", "status/", "completions/", "loss/val"))]
    assert len(shared) >= 12
    for tag in shared:
        assert two[0]["metrics"][tag] == pytest.approx(one["metrics"][tag].item(), rel=1e-5), tag


@pytest.mark.parametrize("strategy", [pytest.param("ddp", marks=pytest.mark.slow), "fsdp2"])
def test_ppo_on_two_ranks_is_ppo_on_one(strategy, ppo_folder, ppo_on_one):
    one, two = ppo_on_one, ends_of_training("ppo", strategy, ppo_folder)
    assert_ranks_are_one(one, two, strategy)
    start, _ = load_policy(ppo_folder / "start")
    assert any(
        not torch.equal(one["weights"][f"causal_lm.{name}"], value) for name, value in start.state_dict().items()
    )
    assert two[0]["kl_coef"] == two[1]["kl_coef"] == pytest.approx(one["kl_coef"])
    prefixes = ("reward/", "kl/", "policy/", "value/", "rollout/", "completions/mean", "status/rollout/")
    shared = [tag for tag in one["metrics"] if tag.startswith(prefixes)]
    assert len(shared) >= 30
    for tag in shared:
        assert two[0]["metrics"][tag] == pytest.approx(one["metrics"][tag].item(), rel=1e-3, abs=1e-5), tag
    assert 0 < one["metrics"]["reward/probe_fail_rate"] < 1
    assert one["metrics"]["rollout/num_infra"] > 0
