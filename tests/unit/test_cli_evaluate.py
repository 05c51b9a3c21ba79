"""`atomforge evaluate` around the evaluation itself: table, JSON, refusals before anything heavy."""

import json
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from cli import evaluate
from cli.main import main
from lightning_modules.judged import Evaluation, JudgedSample, TaskResult


def judged(status: str) -> JudgedSample:
    return JudgedSample(completion="c", num_tokens=1, finished=True, status=status, num_passed=0, num_tests=2)


def task(task_id: str, greedy: str, *samples: str) -> TaskResult:
    return TaskResult(
        task_id=task_id,
        prompt="p",
        language="en",
        depth=2,
        greedy=judged(greedy),
        samples=tuple(judged(status) for status in samples),
    )


EVALUATION = Evaluation(
    tasks=(task("a", "passed", "passed", "wrong", "wrong", "wrong"), task("b", "wrong", *["timeout"] * 4)),
    settings={"seed": 0},
)


@pytest.fixture
def data_dir(tmp_path: Path) -> str:
    row = {
        "task_id": ["a"], "prompt": ["p"], "language": ["en"], "solution": ["s"], "entry_point": ["solve"],
        "tests": ["[]"], "atoms": [["x"]], "depth": [2],
    }  # fmt: skip
    DatasetDict({"synthetic_test": Dataset.from_dict(row)}).save_to_disk(str(tmp_path / "data"))
    return str(tmp_path / "data")


def run(data_dir: str, *arguments: str) -> int:
    return main(["evaluate", "--checkpoint", "c.ckpt", "--data", data_dir, "--split", "synthetic/test", *arguments])


def test_scores_by_hand() -> None:
    scores = evaluate.summary(EVALUATION, [1, 2])
    # task a: 1 of 4 right, so pass@1 = 1/4 and pass@2 = 1 - C(3,2)/C(4,2) = 1/2; task b: 0
    assert {name: interval.mean for name, interval in scores.items()} == pytest.approx(
        {"pass@1 greedy": 0.5, "pass@1 sampled": 0.125, "pass@2 sampled": 0.25}
    )


def test_table_and_json(
    data_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "_evaluate", lambda args, table: EVALUATION)
    output = tmp_path / "out.json"
    assert run(data_dir, "--num-samples", "4", "--k", "4,1", "--output", str(output)) == 0
    out = capsys.readouterr().out
    assert "pass@1 greedy" in out
    assert "0.125" in out
    assert "samples: passed 1 (12%), wrong 3 (38%), timeout 4 (50%)" in out
    written = json.loads(output.read_text())
    assert list(written["scores"]) == ["pass@1 greedy", "pass@1 sampled", "pass@4 sampled"]
    assert written["scores"]["pass@4 sampled"]["mean"] == 0.5
    assert written["statuses"]["timeout"] == 4
    assert written["split"] == "synthetic_test"
    assert Evaluation.from_json(written) == EVALUATION
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--num-samples", "4", "--k", "8"], "--k 8 needs at least as many samples a task, --num-samples is 4"),
        (["--output", "/no/dir/x.json"], "--output /no/dir/x.json: there is no directory /no/dir"),
        (
            ["--num-tasks", "0"],
            "argument --num-tasks: '0' is not a whole number of at least 1 (see `atomforge evaluate --help`)",
        ),
        (["--split", "nope"], "{data} has no split nope: it has synthetic_test"),
        (["--data", "/no/data"], "no data set at /no/data: make one with `atomforge synthesize --output /no/data`"),
        (["--checkpoint", "/no/model"], "there is nothing at /no/model: give a .ckpt file, a run directory or a "
         "Hugging Face folder"),
    ],
)  # fmt: skip
def test_refusals(arguments: list[str], line: str, data_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data_dir, *arguments) == 2
    assert capsys.readouterr().err == f"atomforge: error: {line.format(data=data_dir)}\n"
