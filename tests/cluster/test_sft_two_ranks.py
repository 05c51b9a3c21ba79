"""Two ranks train on the same global minibatches as one, and report the same validation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "unit"))
from small_data import write_small_data  # noqa: E402


def end_of_training(num_ranks: int, tmp_path: Path) -> dict:
    script = Path(__file__).with_name("two_ranks_sft.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(num_ranks), str(tmp_path / "data"), str(tmp_path)]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path, timeout=200, capture_output=True)
    return json.loads((tmp_path / f"ranks{num_ranks}.json").read_text())


def test_two_ranks_are_one(tmp_path):
    write_small_data(tmp_path / "data")
    one, two = (end_of_training(num_ranks, tmp_path) for num_ranks in (1, 2))
    assert two["weights"] == pytest.approx(one["weights"], rel=1e-5)
    # three tasks on two ranks, 2 and 1: of tasks 0, 1 and 2 the even ones pass
    assert one["metrics"]["pass_at_k/synthetic_val/greedy"] == pytest.approx(2 / 3)
    shared = [tag for tag in one["metrics"] if tag.startswith(("pass_at_k/", "failures/", "response/", "loss/val"))]
    assert len(shared) >= 12
    for tag in shared:
        assert two["metrics"][tag] == pytest.approx(one["metrics"][tag], rel=1e-5), tag
