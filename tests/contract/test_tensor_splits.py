"""Tensor tasks beside the others: built, apart, judged by the same commands; what was there before does not change."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from datasets import load_from_disk

from executor.api import grade, open_executor
from executor.grading.tasks import parse_task
from executor.types import Submission

ROOT = Path(__file__).resolve().parents[2]
COUNTS = {"train": 4, "rl": 4, "val": 3, "test": 4, "test_deeper": 2, "test_held_out_atoms": 2}
CONFIG = {"seed": 5, "counts": COUNTS, "num_tests": 16, "num_reward_tests": 8, "languages": ["en"]}
OTHERS = [
    "atomic",
    "synthetic_train",
    "synthetic_rl",
    "synthetic_val",
    "synthetic_test",
    "synthetic_test_deeper",
    "synthetic_test_held_out_atoms",
]


def atomforge(*arguments: object) -> str:
    command = [sys.executable, "-m", "cli.main", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    return done.stdout


def build(folder: Path, config: dict) -> Path:
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    atomforge("synthesize", "--config", folder / "config.yaml", "--output", folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tensors"), CONFIG | {"tensor_counts": COUNTS})


def test_the_splits_and_their_profile(directory: Path) -> None:
    data = load_from_disk(str(directory))
    assert list(data) == OTHERS + [split.replace("synthetic", "tensor") for split in ["tensor_atomic", *OTHERS[1:]]]
    assert len(data["tensor_atomic"]) == 27 * 3  # atoms, and the seen phrasings of one language
    assert len(data["tensor_train"]) == 4
    assert set(data["tensor_train"]["profile"]) == {"torch"}
    assert "profile" not in data["synthetic_train"].column_names
    assert all("$tensor" in row["tests"] and "$tensor" in row["reward_tests"] for row in data["tensor_test"])


def test_the_audit_finds_them_apart(directory: Path) -> None:
    assert atomforge("audit", directory).rstrip().endswith("no two splits overlap")


def test_each_solution_passes_its_own_tests_and_the_identity_none(directory: Path) -> None:
    data = load_from_disk(str(directory))
    rows = [row for split in data if split.startswith("tensor_") for row in list(data[split])[:4]]
    keys = ("task_id", "entry_point", "tests", "profile")
    tasks = [parse_task({key: row[key] for key in keys}) for row in rows]
    build_identity = "def solve(a, b=None, c=None):\n    return a"
    with open_executor("auto", num_workers=2) as executor:
        right = grade(
            executor, [Submission(task=t, completion=r["solution"]) for t, r in zip(tasks, rows, strict=True)]
        )
        wrong = grade(executor, [Submission(task=task, completion=build_identity) for task in tasks])
    assert [outcome.detail for outcome in right if not outcome.passed] == []
    assert {outcome.status.value for outcome in wrong} == {"wrong"}


@pytest.mark.slow
def test_the_other_splits_are_what_they_are_without(directory: Path, tmp_path: Path) -> None:
    without = json.loads((build(tmp_path, CONFIG) / "manifest.json").read_text())
    beside = json.loads((directory / "manifest.json").read_text())
    assert list(without["sha256"]) == OTHERS
    assert without["sha256"] == {split: beside["sha256"][split] for split in OTHERS}
    assert "tensor_counts" not in without["config"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_they_are_trained_on_and_evaluated(directory: Path, tmp_path: Path) -> None:
    smoke = "studies/layers/smoke_"
    common = ("--data.init_args.data_dir", directory, "--data.init_args.num_val_tasks", 3)
    sft, rl = tmp_path / "sft", tmp_path / "rl"
    atomforge(
        *("fit", "--config", "sft", "--config", f"{smoke}sft", "--config", "tensor_sft", *common, "--run_dir", sft)
    )
    atomforge(
        *("fit", "--config", "ppo", "--config", f"{smoke}rl", "--config", "tensor_rl", *common),
        *("--model.init_args.init_from", sft, "--run_dir", rl),
    )
    said = atomforge(
        *("evaluate", "--checkpoint", rl, "--data", directory, "--split", "tensor_test"),
        *("--num-samples", 2, "--max-new-tokens", 8),
    )
    assert "tensor_test" in said
    assert "infra" not in said
