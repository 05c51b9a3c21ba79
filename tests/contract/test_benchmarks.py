"""The benchmarks run: at toy sizes, and on numbers worked by hand. What they measure is not tested."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
from benchmarks.trainers.table import Goal, print_tables, ratio_of  # noqa: E402


def test_ratios_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    rounds = [
        {"a": {"step_s": 2.0, "tokens_per_s": 30.0}, "b": {"step_s": 5.0, "tokens_per_s": 10.0}},
        {"a": {"step_s": 2.0, "tokens_per_s": 20.0}, "b": {"step_s": 3.0, "tokens_per_s": 10.0}},
        {"a": {"step_s": 1.0, "tokens_per_s": 40.0}},
    ]
    tokens = Goal("tokens", "a", "b", "tokens_per_s", 2.6)
    assert ratio_of(tokens, rounds[0]) == 3.0
    assert ratio_of(Goal("step", "a", "b", "step_s", None), rounds[0]) == 2.5
    print_tables(rounds, [tokens, Goal("step", "a", "b", "step_s", 1.5)])
    printed = capsys.readouterr().out
    assert "| a | 2.00 (1.00-2.00) | 30 (20-40) |" in printed
    assert "| tokens | 2.50 (2.00-3.00) | 2.6 | **not met** |" in printed
    assert "| step | 2.00 (1.50-2.50) | 1.5 | met |" in printed


def test_the_gpu_benchmark_runs_at_toy_size_and_asks_for_a_gpu_otherwise(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    result = tmp_path / "gpu.json"
    checks = ["sft", "rollouts", "ppo", *(["flex"] if shutil.which("g++") else [])]  # torch compiles flex attention
    done = subprocess.run(
        [*command, "--smoke", "--only", ",".join(checks), "--output", str(result)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(result.read_text())
    assert found["rollouts"]["ratio"] > 0
    assert 0 < sum(found["ppo"][part] for part in ("generate", "score", "execute", "update")) <= 1.01
    if "flex" in found:
        assert found["flex"]["largest_difference"] < 1e-3 < found["flex"]["largest_logit"]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert refused.returncode == 2
    assert "no CUDA device" in refused.stderr
