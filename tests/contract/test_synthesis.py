"""What a data set promises to its readers: splits, columns, tests that the judge accepts, the two commands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from datasets import load_from_disk

from executor.api import grade, open_executor
from executor.grading.tasks import parse_task
from executor.types import Submission
from tests.support.command import run_command

SPLITS = [
    "atomic",
    "synthetic_train",
    "synthetic_rl",
    "synthetic_val",
    "synthetic_test",
    "synthetic_test_deeper",
    "synthetic_test_held_out_atoms",
]
COLUMNS = [
    "task_id",
    "prompt",
    "reworded_prompt",
    "language",
    "solution",
    "entry_point",
    "tests",
    "reward_tests",
    "domains",
    "atoms",
    "depth",
    "skeleton",
]
CONFIG = {
    "seed": 3,
    "counts": {"train": 24, "rl": 10, "val": 5, "test": 6, "test_deeper": 4, "test_held_out_atoms": 4},
}


def atomforge(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=250)


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("synthesis")
    (root / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    done = atomforge("synthesize", "--config", root / "config.yaml", "--output", root / "data")
    assert done.returncode == 0, done.stderr
    return root / "data"


def test_splits_columns_and_types(directory):
    data = load_from_disk(str(directory))
    assert list(data) == SPLITS
    for split in data.values():
        assert split.column_names == COLUMNS
        row = split[0]
        assert row["entry_point"] == "solve"
        assert row["language"] in ("en", "zh")
        assert type(row["depth"]) is int
        assert all(type(name) is str for name in row["atoms"])
        assert "solve" in row["prompt"]
        assert "solve" in row["reworded_prompt"]
    ids = [row["task_id"] for split in data.values() for row in split]
    assert len(set(ids)) == len(ids)
    atomic = data["atomic"]
    assert len(set(atomic["prompt"])) == len(atomic) >= 600
    assert len({row["atoms"][0] for row in atomic}) == 100


def test_solutions_pass_their_own_tests_and_reward_tests(directory):
    data = load_from_disk(str(directory))
    rows = [row for name in SPLITS[1:] for row in data[name]] + list(data["atomic"].select(range(0, 600, 6)))
    submissions = []
    for row in rows:
        assert len(json.loads(row["tests"])) == 64
        assert len(json.loads(row["reward_tests"])) == 32
        for column in ("tests", "reward_tests"):
            task = {key: row[key] for key in ("task_id", "prompt", "entry_point", "language")}
            submissions.append(Submission(task=parse_task({**task, "tests": row[column]}), completion=row["solution"]))
    with open_executor(hash_seed=7) as executor:
        outcomes = grade(executor, submissions)
    assert [outcome.status for outcome in outcomes if not outcome.passed] == []


def test_manifest_says_what_is_there(directory):
    manifest = json.loads((directory / "manifest.json").read_text())
    data = load_from_disk(str(directory))
    assert manifest["counts"] == {name: len(data[name]) for name in SPLITS}
    assert len(manifest["overlaps"]) == 21
    assert all(number == 0 for measures in manifest["overlaps"].values() for number in measures.values())
    assert set(manifest["sha256"]) == set(SPLITS)
    assert set(manifest["seen_rewordings"]) == set(SPLITS)
    assert not any(manifest["seen_rewordings"].values())
    assert {language: len(names) for language, names in manifest["held_out_frames"].items()} == {"en": 3, "zh": 3}
    assert len(manifest["held_out_phrasings"]) == 100
    assert manifest["config"]["seed"] == 3


def test_building_again_does_nothing_and_another_seed_is_refused(directory):
    config = directory.parent / "config.yaml"
    again = run_command("synthesize", "--config", config, "--output", directory)
    assert again.returncode == 0
    assert "already holds this dataset" in again.stdout
    other = run_command("synthesize", "--config", config, "--output", directory, "--seed", 4)
    assert other.returncode == 2
    assert "other values of seed" in other.stderr


def test_audit_of_the_directory(directory):
    done = run_command("audit", directory)
    assert done.returncode == 0, done.stderr
    assert "no prompt is the reworded prompt of a task" in done.stdout
    assert "no two splits overlap" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["synthesize", "--config", "nowhere.yaml", "--output", "x"], "nowhere.yaml"),
        (["synthesize", "--config", "configs/synthesis.yaml"], "--output"),
        (["synthesize", "--config", "configs/synthesis.yaml", "--output", "x", "--backend", "magic"], "magic"),
        (["synthesize", "--config", "configs/synthesis.yaml", "--output", "x", "--num-workers", "0"], "num-workers"),
        (["synthesize", "--config", "configs/synthesis.yaml", "--output", "configs"], "not a data set"),
        (["audit", "nowhere"], "nowhere"),
        (["audit", "configs"], "not a data set"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, words):
    done = run_command(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("atomforge: error: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
