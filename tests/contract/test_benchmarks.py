"""Benchmarks run at toy size and format numbers worked by hand. What they measure is not tested."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.demo_seeds import build_rows
from benchmarks.learning import OURS, build_curve
from benchmarks.learning import print_tables as print_curves
from benchmarks.rounds import run_json, run_rounds
from benchmarks.training import Goal, compute_ratio, print_tables, reduce_steps
from cli.study.plan import Comparison
from tests.support import study_results
from tests.support.small_data import write_small_data
from tests.support.tiny_runs import write_policy

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


@pytest.mark.slow
def test_gpu_checks_run_at_toy_size_and_need_a_gpu_otherwise(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu"]
    options = {"cwd": ROOT, "env": {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}, "text": True}
    result = tmp_path / "gpu.json"
    # tests/unit/lightning_modules/models/forward/test_compute.py covers flex attention, which takes a minute to compile
    smoke = [*command, "--smoke", "--only", "sft,rollouts,vllm,sandbox,learning", "--output", str(result)]
    done = subprocess.run(smoke, capture_output=True, timeout=280, **options)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert "5 of 5 checks pass" in done.stdout
    checks = json.loads(result.read_text())["checks"]
    values = {name: {what: value for what, value, _ in one["lines"]} for name, one in checks.items()}
    assert float(values["sft"]["sdpa: tokens/s"]) > 0
    assert float(values["rollouts"]["native over transformers"]) > 0
    assert values["vllm"] == {"vllm": "skipped: not installed, or no GPU"}
    assert len([what for what in values["sandbox"] if what.startswith("hostile: ")]) >= 3
    without_gpu = subprocess.run(command, capture_output=True, timeout=100, **options)
    assert without_gpu.returncode == 2
    assert "no CUDA device" in without_gpu.stderr


def test_gpu_check_that_fails_or_exceeds_its_budget_is_a_failed_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(device, sizes):
        yield gpu.Line("first", "1", True)
        raise RuntimeError("CUDA error: an illegal memory access\nmore")

    monkeypatch.setitem(gpu.CHECKS, "sft", gpu.Budgeted(break_down, 1))
    result = gpu.run_check("sft", smoke=True)
    assert result.lines[1:] == [("ran to its end", "RuntimeError: CUDA error: an illegal memory access", False)]
    monkeypatch.setitem(gpu.CHECKS, "sft", gpu.Budgeted(break_down, 0.01))
    late = gpu.run_apart("sft")
    assert [line.holds for line in late.lines] == [False]
    assert late.lines[0].value.endswith("no result after 0.01 s")
    table = gpu.format_table({"sft": result})
    assert "|  | first | 1 | pass |" in table
    assert table.splitlines()[2].startswith("| **sft** |  | ")
    assert table.splitlines()[2].endswith(" of 0.01 s | **FAIL** |")


def test_learning_curves_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    ours = build_curve(OURS, {"wall_s": [2.0, 3.0], "cpu_s": [1.0, 2.0]}, {2: 0.5, 0: 0.25}, 10)
    assert [(p.completions, p.wall_s, p.cpu_s, p.pass_at_1) for p in ours] == [(0, 0, 0, 0.25), (20, 5.0, 3.0, 0.5)]
    slow = build_curve("TRL, lr 1", {"wall_s": [5.0, 5.0], "cpu_s": [6.0, 3.0]}, {0: 0.25, 2: 0.375}, 10)
    worse = build_curve("TRL, lr 2", {"wall_s": [1.0, 1.0], "cpu_s": [1.0, 1.0]}, {0: 0.25, 2: 0.125}, 10)
    print_curves({OURS: ours, "TRL, lr 1": slow, "TRL, lr 2": worse})
    printed = capsys.readouterr().out
    assert "| TRL, lr 2 | 2 | 20 | 2 | 2 | 0.125 |" in printed
    assert "| completions/s | 2.00 | 2.0 |" in printed  # the best of TRL's curves: 10 s against 5 s
    assert "| completions/s of processor time | 3.00 | 2.0 |" in printed
    assert "difference | +0.125 | 0.0 |" in printed


@pytest.mark.slow
def test_learning_benchmark_runs_at_toy_size(tmp_path: Path) -> None:
    data = write_small_data(tmp_path / "data")
    checkpoint = write_policy(tmp_path / "policy", data)
    options = ["--data", str(data), "--checkpoint", checkpoint, "--output", str(tmp_path / "out"), "--smoke"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.learning", *options], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    curve = json.loads((tmp_path / "out" / "learning.json").read_text())[OURS]
    assert [(point["iteration"], point["completions"]) for point in curve] == [(0, 0), (1, 16), (2, 32)]
    assert 0 < curve[1]["wall_s"] < curve[2]["wall_s"]
    assert len(json.loads((tmp_path / "out" / OURS / "prompts.json").read_text())) == 2 * 4


def test_gains_of_each_seed_of_the_demo_by_hand() -> None:
    comparison = Comparison(treatment="sft_rl_new", control="sft_both", split="synthetic_test")
    study = dataclasses.replace(study_results.study(seeds=(0, 1)), contrasts=(), exploratory=(comparison,))
    graded = study_results.evaluation
    passed = {
        ("sft_both", 0): graded(True, False, False, False),
        ("sft_both", 1): graded(True, False, False, False),
        ("sft_rl_new", 0): graded(True, True, False, False),
        ("sft_rl_new", 1): graded(True, True, True, False),
    }
    arms = [study_results.arm(stage, seed, {"synthetic_test": found}) for (stage, seed), found in passed.items()]
    row = build_rows(study, arms)[0]
    assert row[:3] == ["sft_rl_new - sft_both", "synthetic_test", "pass@1 greedy"]
    assert [cell.split()[0] for cell in row[3:]] == ["+25.0", "+50.0", "+37.5"]
