"""`atomforge study` at smoke size, as a user runs it: planned, interrupted, finished, repeated, one arm made again."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cli.api import synthesize
from cli.main import main
from cli.study.results import load_results
from tests.support.command import run_command

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "studies" / "smoke.yaml"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return the smoke study with one seed, in a directory of its own."""
    content = yaml.safe_load(CONFIG.read_text()) | {"output": str(tmp_path / "study"), "seeds": [0]}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the data set of the smoke study, once."""
    path = tmp_path_factory.mktemp("study") / "data"
    synthesize(str(ROOT / "configs" / "studies" / "layers" / "synthesis_smoke.yaml"), path)
    return path


def use_data(config: Path, data: Path) -> None:
    """Give the study an existing data set; `test_demo.py` has one that builds its own."""
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"data": str(data)}))


@pytest.fixture
def config_with_data(config: Path, data: Path) -> Path:
    use_data(config, data)
    return config


def start(config: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", "study", "--config", str(config), *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said_by(process: subprocess.Popen[str], code: int = 0) -> str:
    said = process.communicate(timeout=280)[0]
    assert process.returncode == code, said[-3000:]
    return said


def numbers(path: Path) -> dict:
    content = json.loads(path.read_text())
    measured = ("time/", "throughput/", "executor/time_factor")  # of the machine as it was
    curves = {tag: points for tag, points in content["curves"].items() if not tag.startswith(measured)}
    return {name: content[name] for name in ("stage", "seed", "fingerprint", "evaluation")} | {"curves": curves}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_planned_interrupted_finished_and_made_again(config: Path, data: Path, tmp_path: Path) -> None:
    arms = tmp_path / "study" / "arms"
    assert "3 arms, about 1 min one after the other" in run_command("study", "--config", config, "--dry-run").stdout
    assert not arms.exists()
    use_data(config, data)

    process = start(config)
    deadline = time.monotonic() + 200
    while not list(arms.glob("base/*/run/checkpoints/epoch_*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert said_by(process, 130).rstrip().endswith("interrupted; run the same command again to resume")
    assert not list(arms.glob("*/*/result.json"))

    said = said_by(start(config))
    assert "3 of 3 arms are done" in said
    assert [result.stage for result in load_results(tmp_path / "study")] == ["base", "sft", "sft_rl"]
    base, sft, rl = load_results(tmp_path / "study")
    assert {split: len(found.tasks) for split, found in base.evaluation.items()} == {
        "synthetic_test": 4,
        "synthetic_rl": 2,
    }
    assert all(len(task.samples) == 4 for task in base.evaluation["synthetic_rl"].tasks)
    assert list(sft.evaluation) == list(rl.evaluation) == ["synthetic_test"]
    assert base.budget.synthetic_completion_tokens == 0 < sft.budget.synthetic_completion_tokens
    assert rl.budget.flops > 0
    again = run_command("study", "--config", config)  # nothing is left to do
    assert (again.returncode, "3 of 3 arms are done" in again.stdout) == (0, True)
    with (tmp_path / "study" / ".lock").open("w") as lock:  # as while a study is at work
        fcntl.flock(lock, fcntl.LOCK_EX)
        plan = run_command("study", "--config", config, "--dry-run")
    assert "0 of 3 arms to do" in plan.stdout

    assert main(["report", str(tmp_path / "study")]) == 0
    assert "F2" in (tmp_path / "study" / "report.md").read_text()
    board = EventAccumulator(str(tmp_path / "study" / "tensorboard" / "sft_rl" / "seed0"))
    board.Reload()
    assert "study/synthetic_test/greedy" in board.Tags()["scalars"]
    assert "reward/mean" in board.Tags()["scalars"]
    assert board.PluginTagToContent("hparams")

    (folder,) = arms.glob("sft_rl/*")
    first = numbers(folder / "result.json")
    shutil.rmtree(folder)
    said_by(start(config))
    assert numbers(folder / "result.json") == first


@pytest.mark.parametrize("mode", [["--dry-run"], []])
def test_what_cannot_be_trained_is_told_before_anything_is_made(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: list[str]
) -> None:
    content = yaml.safe_load(config.read_text())
    for changes, line in (
        (
            {"overrides": {"model.init_args.architectur": None}},
            "stage sft: overrides: unknown key model.init_args.arc",
        ),
        ({"overrides": {"trainer.max_epochs": "many"}}, "stage sft: overrides: trainer.max_epochs is 'many'; expected"),
        ({"configs": ["configs/sft.yml"]}, "stage sft: cannot read the config file configs/sft.yml: No such file"),
    ):
        stages = [content["stages"][0], content["stages"][1] | changes, *content["stages"][2:]]
        config.write_text(yaml.safe_dump(content | {"stages": stages}))
        assert main(["study", "--config", str(config), *mode]) == 2
        assert line in capsys.readouterr().err
    config.write_text(yaml.safe_dump(content | {"synthesis": "configs/studies/layers/synthesis_smokee.yaml"}))
    assert main(["study", "--config", str(config), *mode]) == 2
    assert "cannot read the config file configs/studies/layers/synthesis_smokee.yaml" in capsys.readouterr().err
    assert not (tmp_path / "study" / "data").exists()


def test_a_failing_arm_is_told_and_tried_again(config_with_data: Path) -> None:
    config = config_with_data
    content = yaml.safe_load(config.read_text())
    content["stages"] = [content["stages"][1] | {"parent": None, "overrides": {"data.init_args.max_length": 3}}]
    content |= {"contrasts": [], "gate": None}
    config.write_text(yaml.safe_dump(content))
    said = said_by(start(config), 1)
    assert "sft (seed 0): failed with exit code 2: atomforge: error:" in said
    assert "raise max_length" in said
    assert "not done: sft (seed 0), which failed" in said


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rejection_fine_tuning_is_a_stage(config_with_data: Path, tmp_path: Path) -> None:
    config = config_with_data
    content = yaml.safe_load(config.read_text())
    sampling = {"num_tasks": 4, "num_samples": 2, "max_new_tokens": 8, "dtype": "float32"}
    stage = {
        "name": "sft_rft",
        "kind": "rft",
        "parent": "base",
        "sampling": sampling,
        "configs": ["configs/rft.yaml", "configs/studies/layers/smoke_sft.yaml"],
        "overrides": {"model.init_args.architecture": None},
    }
    config.write_text(yaml.safe_dump(content | {"stages": [content["stages"][0], stage], "contrasts": []}))
    said_by(start(config))
    (folder,) = (tmp_path / "study" / "arms" / "sft_rft").iterdir()
    assert "8 completions of 4 tasks" in (folder / "log.txt").read_text()
    rft = load_results(tmp_path / "study")[1]
    assert (rft.kind, rft.parent, rft.budget.num_completions) == ("rft", "base", 8)
    trained = json.loads((folder / "run" / "result.json").read_text())["budget"]
    sampled = json.loads((folder / "sampled" / "result.json").read_text())
    assert rft.budget.flops == trained["flops"] + sampled["flops"]
    assert sampled["flops"] > 0

    (folder / "result.json").unlink()  # the training and the samples of a killed arm are used again
    written = (folder / "sampled" / "samples.jsonl").stat().st_mtime_ns
    said_by(start(config))
    assert (folder / "sampled" / "samples.jsonl").stat().st_mtime_ns == written
    assert load_results(tmp_path / "study")[1].budget == rft.budget
    stage["sampling"]["num_samples"] = 3  # another fingerprint
    config.write_text(yaml.safe_dump(content | {"stages": [content["stages"][0], stage], "contrasts": []}))
    assert "1 of 2 arms to do" in said_by(start(config, "--dry-run"))
    assert main(["report", str(tmp_path / "study")]) == 0
