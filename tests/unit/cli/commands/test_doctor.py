"""What `atomforge doctor` checks in addition to the executor."""

import subprocess

import pytest

from cli.commands import doctor as training_doctor
from cli.commands.doctor import check_slurm, check_training
from cli.main import main
from executor.commands import doctor
from executor.commands.doctor import Level


def test_training_packages_and_gpus_are_checked() -> None:
    found = {finding.name: finding for finding in check_training()}
    assert found["torch"].level is found["lightning"].level is Level.OK
    assert found["gpu"].level in (Level.OK, Level.MISSING)


def test_missing_slurm_needs_no_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_doctor.shutil, "which", lambda program: None)
    assert (check_slurm().level, check_slurm().fix) == (Level.MISSING, "")


def test_slurm_lists_its_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = subprocess.CompletedProcess([], 0, stdout="gpu 2\ncpu 8\n", stderr="")
    monkeypatch.setattr(training_doctor.shutil, "which", lambda program: "/bin/sinfo")
    monkeypatch.setattr(training_doctor.subprocess, "run", lambda *args, **kwargs: answer)
    assert check_slurm().detail == "partitions: gpu with 2 nodes; cpu with 8 nodes"


def test_command_reports_executor_and_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "try_sandbox", lambda name: name)
    assert main(["doctor"]) == 0
    names = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith(("ok", "missing"))]
    assert {"python", "bubblewrap", "torch", "slurm"} <= set(names)
