"""What `atomforge doctor` says of machines that lack things."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli import doctor_checks as checkup
from cli.doctor_checks import Finding, Level, disk, examine, memory, sandbox, slurm
from cli.main import main


def refuse(reason: str):
    def run(name: str) -> str:
        raise ValueError(reason)

    return run


def test_a_sandbox_that_runs_a_program():
    found = sandbox("docker", lambda name: f"{name} with 1 worker")
    assert (found.level, found.seen, found.mend) == (Level.OK, "runs programs: docker with 1 worker", "")


@pytest.mark.parametrize(
    ("name", "reason", "there", "mend"),
    [
        ("bubblewrap", "bwrap was not found", (), "sudo apt-get install bubblewrap"),
        ("bubblewrap", "no namespaces", ("bwrap",), "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
        ("docker", "run `atomforge executor build`", ("docker",), "atomforge executor build"),
        ("docker", "no engine", (), "sudo apt-get install docker.io"),
        ("docker", "no engine", ("dockerd",), "sudo systemctl start docker"),
    ],
)
def test_what_mends_a_sandbox(monkeypatch: pytest.MonkeyPatch, name: str, reason: str, there: tuple, mend: str):
    monkeypatch.setattr(checkup.shutil, "which", lambda program: f"/bin/{program}" if program in there else None)
    found = sandbox(name, refuse(reason))
    assert found.level is Level.MISSING
    assert found.seen == reason
    assert found.mend.startswith(mend)


@pytest.mark.parametrize(("free_gib", "level"), [(3.9, Level.MISSING), (4.1, Level.OK)])
def test_memory(monkeypatch: pytest.MonkeyPatch, free_gib: float, level: Level):
    measured = SimpleNamespace(available=free_gib * 2**30, total=8 * 2**30)
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(virtual_memory=lambda: measured))
    assert memory().level is level
    assert memory().seen == "4 of 8 GiB free"


def test_disk(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkup.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**30))
    assert disk(Path("/x")) == Finding(
        name="disk", level=Level.MISSING, seen="1 GiB free below /x", mend="free some: runs want 5 GiB"
    )


def test_no_slurm_is_no_fault(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkup.shutil, "which", lambda program: None)
    assert slurm().level is Level.MISSING
    assert slurm().mend == ""


def test_without_any_sandbox_nothing_works(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(checkup, "_opened", refuse("none here"))
    found = {finding.name: finding for finding in examine()}
    assert found["sandbox"].level is Level.BROKEN
    assert found["torch"].level is Level.OK
    assert main(["doctor", "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["name"]: line["level"] for line in lines}["docker"] == "missing"


def test_it_reads_well_where_all_is_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(checkup, "_opened", lambda name: f"{name} [1 worker]")
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "ok       docker        runs programs: docker [1 worker]\n" in said
    assert all(len(line) < 200 for line in said.splitlines())
