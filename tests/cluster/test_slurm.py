"""`atomforge submit` on a real Slurm of two nodes: ranks over both, back into the queue, arrays that wait, refusals."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cli.main import main
from cli.study.results import load_results
from tests.support import slurm as slurm_here
from tests.support.killed_runs import ROOT, assert_same_end, checkpoint_names, write_inputs
from tests.support.wait import wait_until

WHY_NOT = slurm_here.why_not()
needs_slurm = pytest.mark.skipif(WHY_NOT is not None, reason=f"no Slurm here: {WHY_NOT}")
SETTINGS = {
    "signal_before_end_s": 10,
    "time": "00:20:00",
    # the nodes have no names of their own here, and compute with the sources under test
    "environment": {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "PYTHONPATH": str(ROOT)},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if WHY_NOT is not None:
        pytest.skip(f"no Slurm here: {WHY_NOT}")
    folder = tmp_path_factory.mktemp("slurm")
    write_inputs(folder)
    with slurm_here.running(folder / "slurm"):
        yield folder


@pytest.fixture(autouse=True)
def in_folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "folder" in request.fixturenames:
        monkeypatch.chdir(request.getfixturevalue("folder"))


def settings(path: Path, **changes: object) -> str:
    path.write_text(yaml.safe_dump({"slurm": SETTINGS | changes}))
    return str(path)


def submit(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """Return the numbers of the jobs."""
    capsys.readouterr()
    code = main(["submit", *words])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return [line.split()[1].rstrip(":") for line in captured.out.splitlines() if line.startswith("job ")]


def log_of(folder: Path, number: str) -> str:
    return "\n".join(path.read_text() for path in (folder / "runs" / "slurm" / "logs").glob(f"*-{number}*.log"))


@needs_slurm
@pytest.mark.timeout(300)
def test_two_nodes_train_and_a_requeued_run_ends_as_a_whole_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = settings(folder / "two.yaml", nodes=2)
    files = ["--config", str(ROOT / "configs" / "sft.yaml"), "--config", "sft.yaml", "--config", cluster]
    words = [*files, "--trainer.strategy", "ddp"]
    [whole] = submit(capsys, *words, "--run_dir", "whole")
    assert slurm_here.wait_for(whole, timeout_s=120) == "COMPLETED", log_of(folder, whole)

    [again] = submit(capsys, *words, "--run_dir", "again")
    wait_until(lambda: len(checkpoint_names(folder / "again")) >= 2, within_s=100)
    subprocess.run(["scancel", "--signal=USR1", "--batch", again], check=True)  # as Slurm does before the time is over
    wait_until(lambda: "requeued before the time limit" in log_of(folder, again), within_s=100)
    assert not (folder / "again" / "checkpoints" / "final.ckpt").exists(), "the signal came after the end of the run"
    slurm_here.start_now(again)
    assert slurm_here.wait_for(again, timeout_s=200) == "COMPLETED", log_of(folder, again)
    assert_same_end(folder / "whole", folder / "again")

    assert main(["jobs"]) == 0
    said = capsys.readouterr().out
    assert f"{whole}  fit-sft  COMPLETED" in said
    assert "whole: step 99, loss/train" in said
    assert said.count("finished") == 2


@needs_slurm
@pytest.mark.timeout(400)
@pytest.mark.slow
def test_the_arms_of_a_study_wait_seed_by_seed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    smoke = yaml.safe_load((ROOT / "configs" / "studies" / "smoke.yaml").read_text())
    stages = [stage for stage in smoke["stages"] if stage["name"] in ("base", "sft")]
    (folder / "configs").symlink_to(ROOT / "configs")
    study = smoke | {"stages": stages, "contrasts": [], "gate": None, "backend": "process"}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    cluster = settings(folder / "one.yaml")
    base, sft = submit(capsys, "study", "--config", "study.yaml", "--config", cluster, "--output", "study")
    shown = subprocess.run(["scontrol", "show", "job", f"{sft}_0"], capture_output=True, text=True, check=True).stdout
    assert f"aftercorr:{base}" in shown
    assert slurm_here.wait_for(sft, timeout_s=300) == "COMPLETED", log_of(folder, base) + log_of(folder, sft)
    done = load_results(folder / "study")
    assert [(result.stage, result.seed) for result in done] == [("base", 0), ("base", 1), ("sft", 0), ("sft", 1)]
    assert submit(capsys, "study", "--config", "study.yaml", "--config", cluster, "--output", "study") == []


@needs_slurm
@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"partition": "gpu"}, "sbatch rejected the job: invalid partition specified: gpu"),
        ({"gpus_per_node": 1}, "no node has the slurm.gpus_per_node"),
        ({"time": "2-00:00:00"}, "the limit of partition main is 60 minutes, not 2880"),
        ({"nodes": 3}, "exceeds the cluster"),
    ],
)
def test_what_slurm_refuses_is_one_line(
    folder: Path, changes: dict, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", str(ROOT / "configs" / "sft.yaml"), "--config", settings(folder / "wrong.yaml", **changes)]
    assert main(["submit", *words, "--run_dir", "refused"]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    records = [json.loads(path.read_text()) for path in (folder / "runs" / "slurm" / "jobs").glob("*.json")]
    assert not any("refused" in str(record["runs"]) for record in records)
