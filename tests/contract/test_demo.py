"""`atomforge demo` at smoke size, as a user runs it: interrupted by Ctrl-C, continued, finished, repeated."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from cli.main import main

ROOT = Path(__file__).resolve().parents[2]

SYNTHESIS = {
    "seed": 0,
    "counts": {"train": 48, "rl": 16, "val": 8, "test": 12, "test_deeper": 4, "test_held_out_atoms": 4},
}
SFT = {
    "num_threads": 1,
    "trainer": {"accelerator": "cpu", "precision": "32-true", "max_epochs": 3, "check_val_every_n_epoch": 3},
    "model": {
        "init_args": {"architecture": {"hidden_size": 32, "num_layers": 1, "intermediate_size": 32}},
    },
    "data": {"init_args": {"steps_per_epoch": 4, "batch_size": 8, "vocab_size": 600, "num_val_tasks": 4}},
}
PPO = {
    "num_threads": 1,
    "trainer": {"accelerator": "cpu", "precision": "32-true", "max_epochs": 2, "check_val_every_n_epoch": 2},
    "model": {"init_args": {"sampling": {"max_new_tokens": 16}}},
    "data": {
        "init_args": {
            "prompts_per_iteration": 4,
            "samples_per_prompt": 2,
            "minibatch_size": 8,
            "num_val_tasks": 4,
        }
    },
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    for name, content in {"synthesis": SYNTHESIS, "sft": SFT, "ppo": PPO}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    demo = {
        "name": "demo",
        "output": str(folder / "out"),
        "seeds": [0],
        "synthesis": str(folder / "synthesis.yaml"),
        "stages": [
            {
                "name": "untrained",
                "kind": "sft",
                "configs": ["configs/sft.yaml", str(folder / "sft.yaml")],
                "overrides": {"trainer.max_epochs": 0},
                "max_tasks": 2,
            },
            {"name": "sft", "kind": "sft", "configs": ["configs/sft.yaml", str(folder / "sft.yaml")]},
            {"name": "ppo", "kind": "rl", "parent": "sft", "configs": ["configs/ppo.yaml", str(folder / "ppo.yaml")]},
        ],
        "measurement": {
            "dtype": "float32",
            "splits": {"atomic": 3, "synthetic_test": 4},
            "num_samples": 2,
            "max_new_tokens": 12,
            "batch_size": 8,
        },
        "exploratory": [{"treatment": "ppo", "control": "sft", "split": "synthetic_test"}],
    }
    path = folder / "demo.yaml"
    path.write_text(yaml.safe_dump(demo))
    return path


def _start(config: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", "demo", "--config", str(config)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _interrupt_once(process: subprocess.Popen[str], path: Path) -> str:
    deadline = time.monotonic() + 200
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()[0][-2000:]
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=120)[0]


@pytest.mark.timeout(600)
def test_interrupted_then_finished_then_repeated(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = config.parent / "out"
    first_checkpoint = output / "sft" / "checkpoints" / "epoch_00001.ckpt"
    process = _start(config)
    said = _interrupt_once(process, first_checkpoint)
    assert process.returncode == 130, said[-2000:]
    assert said.rstrip().endswith("atomforge: interrupted; run the same command again to resume")
    manifest_at = (output / "data" / "manifest.json").stat().st_mtime_ns

    process = _start(config)
    said = process.communicate(timeout=280)[0]
    assert process.returncode == 0, said[-2000:]
    assert (output / "data" / "manifest.json").stat().st_mtime_ns == manifest_at
    assert "ppo - sft, paired by task" in said
    assert f"tensorboard --logdir {output}" in said
    results = json.loads((output / "results.json").read_text())
    assert set(results["scores"]) == {"atomic", "synthetic_test"}
    for models in results["scores"].values():
        assert list(models) == ["untrained", "sft", "ppo"]
        for scores in models.values():
            assert list(scores) == ["pass@1 greedy", "pass@1 sampled", "pass@2 sampled"]
            for mean, low, high in scores.values():
                assert 0 <= low <= mean <= high <= 1
    assert set(results["seconds"]) == {"untrained", "sft", "ppo"}
    report = (output / "report.md").read_text()
    assert "| untrained | synthetic_test |" in report
    assert "pass@2 sampled" in report

    finished_at = (output / "ppo" / "result.json").stat().st_mtime_ns
    assert main(["demo", "--config", str(config)]) == 0
    assert "ppo - sft" in capsys.readouterr().out
    assert (output / "ppo" / "result.json").stat().st_mtime_ns == finished_at


def test_results_of_another_version_are_not_replaced(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = config.parent / "old"
    (output / "sft").mkdir(parents=True)
    data = config.parent / "out" / "data"
    assert main(["demo", "--config", str(config), "--output", str(output), "--data", str(data)]) == 2
    assert f"{output}/sft exists and is not of this version" in capsys.readouterr().err
