"""Benchmarks run at toy size and format numbers worked by hand. What they measure is not tested."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.rounds import run_json, run_rounds
from benchmarks.training import Goal, compute_ratio, print_tables, reduce_steps

ROOT = Path(__file__).resolve().parents[2]


def test_steps_are_reduced_after_the_warm_up() -> None:
    steps = {"steps_s": [9.0, 9.0, 1.0, 2.0, 4.0], "tokens": [1, 1, 10, 40, 40], "parts_s": [{"score": 0.5}] * 5}
    # tokens/s are 10, 20 and 10; shares 0.5, 0.25 and 0.125
    assert reduce_steps(steps) == {"step_s": 2.0, "tokens_per_s": 10.0, "share_score": 0.25}


def test_ratios_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    rounds = [
        {"a": {"step_s": 2.0, "tokens_per_s": 30.0}, "b": {"step_s": 5.0, "tokens_per_s": 10.0}},
        {"a": {"step_s": 2.0, "tokens_per_s": 20.0}, "b": {"step_s": 3.0, "tokens_per_s": 10.0}},
        {"a": {"step_s": 1.0, "tokens_per_s": 40.0}},
    ]
    tokens = Goal("tokens", "a", "b", "tokens_per_s", 2.6)
    assert compute_ratio(tokens, rounds[0]) == 3.0
    assert compute_ratio(Goal("step", "a", "b", "step_s"), rounds[0]) == 2.5
    print_tables(rounds, [tokens, Goal("step", "a", "b", "step_s", 1.5)])
    printed = capsys.readouterr().out
    assert "| a | 2.00 (1.00-2.00) | 30 (20-40) |" in printed
    assert "| tokens | 2.50 (2.00-3.00) | 2.6 | **not met** |" in printed
    assert "| step | 2.00 (1.50-2.50) | 1.5 | met |" in printed


def test_a_failing_contestant_is_missing_from_its_round(capsys: pytest.CaptureFixture[str]) -> None:
    commands = {
        "good": [sys.executable, "-c", "print('noise'); print('[1, 2]')"],
        "bad": [sys.executable, "-c", "raise SystemExit('out of luck')"],
    }
    assert run_rounds(commands, 2) == [{"good": [1, 2]}, {"good": [1, 2]}]
    assert "out of luck" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="no result after 0.2 s"):
        run_json([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.2)


def test_gpu_benchmark_runs_at_toy_size_and_needs_a_gpu_otherwise(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu"]
    options = {"cwd": ROOT, "env": {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}, "text": True}
    result = tmp_path / "gpu.json"
    # tests/unit/lightning_modules/models/test_compute.py covers flex attention, which takes a minute to compile
    smoke = [*command, "--smoke", "--only", "sft,rollouts", "--output", str(result)]
    done = subprocess.run(smoke, capture_output=True, timeout=200, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(result.read_text())
    assert found["sft"]["sdpa_tokens_per_s"] > 0
    assert found["rollouts"]["ratio"] > 0
    without_gpu = subprocess.run(command, capture_output=True, timeout=100, **options)
    assert without_gpu.returncode == 2
    assert "no CUDA device" in without_gpu.stderr
