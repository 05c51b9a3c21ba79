"""The example of the Python API runs, and its results are those of the functions' contracts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.api import EvalConfig, Suite, TrainConfig, check, evaluate, grade
from executor.commands.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(600)
def test_the_example(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "examples/api.py", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert "tasks for SFT: 48" in process.stdout
    assert "pass@1: 0.00 over 4 tasks" in process.stdout
    assert process.stdout.endswith("graded: passed\n")
    budget = json.loads((tmp_path / "sft" / "result.json").read_text())["budget"]
    assert 0 < budget["completion_tokens"] < budget["total_tokens"]
    assert f"after {budget['total_tokens']} tokens" in process.stdout

    model = tmp_path / "sft"
    suite = Suite(data=str(tmp_path / "data"), split="synthetic_test", num_tasks=2)
    config = EvalConfig(num_samples=0, max_new_tokens=8)
    first = evaluate(model, suite, config)
    assert len(first.tasks) == 2
    assert evaluate(model, suite, config) == first
    with pytest.raises(UsageError, match="wording both"):
        evaluate(model, Suite(data=str(tmp_path / "data"), split="synthetic_test", wording="both"), config)
    for tasks in ("human-eval", ["def add(a, b):"]):
        with pytest.raises(TypeError, match="tasks must be a Suite or TaskPrompts"):
            evaluate(model, tasks, config)  # pyright: ignore[reportArgumentType]


def test_invalid_arguments_name_the_key() -> None:
    with pytest.raises(UsageError, match="trainer.max_epochs is 'many'"):
        check(TrainConfig(configs=["sft"], overrides={"trainer.max_epochs": "many"}))
    with pytest.raises(UsageError, match="run_dir is missing"):
        _ = TrainConfig(configs=[]).run_dir
    with pytest.raises(ValueError, match=r"configs must be a list of names, such as \['sft'\], not a string"):
        TrainConfig(configs="sft")
    assert TrainConfig(configs=["sft"], overrides={"run_dir": "runs/a"}).run_dir == Path("runs/a")
    with pytest.raises(UsageError, match="1 tasks and 2 completions"):
        grade([{"task_id": "t"}], ["a", "b"])
