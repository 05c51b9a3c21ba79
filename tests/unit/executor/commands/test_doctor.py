"""What `doctor` reports on machines that lack something, in both programs."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from executor.commands import doctor
from executor.commands.doctor import (
    Finding,
    Level,
    check_disk,
    check_executor,
    check_memory,
    check_package,
    check_sandbox,
    check_system,
)
from executor.commands.main import main


@pytest.fixture
def no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, "none here")


def fail(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    def try_sandbox(name: str) -> str:
        raise ValueError(reason)

    monkeypatch.setattr(doctor, "try_sandbox", try_sandbox)


def test_working_sandbox_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "try_sandbox", lambda name: f"{name} with 1 worker")
    found = check_sandbox("docker")
    assert (found.level, found.detail, found.fix) == (Level.OK, "runs programs: docker with 1 worker", "")


LINUX, MACOS = "linux", "darwin"
APT, DNF, PACMAN, BREW = ("apt-get",), ("dnf",), ("pacman",), ("brew",)


@pytest.mark.parametrize(
    ("name", "reason", "system", "there", "fix"),
    [
        ("bubblewrap", "not installed", LINUX, APT, "sudo apt-get install -y bubblewrap"),
        ("bubblewrap", "not installed", LINUX, DNF, "sudo dnf install -y bubblewrap"),
        ("bubblewrap", "not installed", LINUX, PACMAN, "sudo pacman -S --needed bubblewrap"),
        ("bubblewrap", "not installed", LINUX, (), "install bubblewrap with the package manager of this system"),
        ("bubblewrap", "no namespaces", LINUX, ("bwrap", *APT), "run as root, or use Docker"),
        ("bubblewrap", "exists on Linux only", MACOS, BREW, ""),
        ("docker", "run `atomforge-executor build`", LINUX, ("docker",), "atomforge-executor build"),
        ("docker", "no engine", LINUX, APT, "sudo apt-get install -y docker.io"),
        ("docker", "no engine", LINUX, DNF, "sudo dnf install -y moby-engine"),
        ("docker", "no engine", LINUX, PACMAN, "sudo pacman -S --needed docker"),
        ("docker", "no engine", MACOS, BREW, "brew install --cask docker-desktop"),
        ("docker", "no engine", LINUX, ("dockerd",), "sudo systemctl enable --now docker"),
        ("docker", "no engine", MACOS, ("docker",), "open -a Docker"),
        ("docker", "no permission to open X", LINUX, ("docker",), "sudo usermod -aG docker $USER && newgrp docker"),
    ],
)
def test_fix_of_a_sandbox(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, reason: str, system: str, there: tuple, fix: str
) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda program: f"/bin/{program}" if program in there else None)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(doctor, "_SYSCTLS", tmp_path)
    fail(monkeypatch, reason)
    found = check_sandbox(name)
    assert found.level is Level.MISSING
    assert found.detail == reason
    assert found.fix == fix


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", 1, "kernel.apparmor_restrict_unprivileged_userns=0"),
        ("kernel/unprivileged_userns_clone", 0, "kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", 0, "user.max_user_namespaces=15000"),
    ],
)
def test_fix_of_forbidden_namespaces_sets_what_forbids_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: int, fix: str
) -> None:
    permitted = {"kernel/apparmor_restrict_unprivileged_userns": 0, "kernel/unprivileged_userns_clone": 1}
    for path, content in (permitted | {"user/max_user_namespaces": 4000} | {name: value}).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(f"{content}\n")
    monkeypatch.setattr(doctor, "_SYSCTLS", tmp_path)
    monkeypatch.setattr(doctor.shutil, "which", lambda program: "/bin/bwrap")
    fail(monkeypatch, "Creating new namespace failed")
    assert check_sandbox("bubblewrap").fix == f"sudo sysctl -w {fix}"


@pytest.mark.parametrize(
    ("system", "machine", "level", "fix"),
    [
        ("Linux", "x86_64", Level.OK, ""),
        ("Linux", "aarch64", Level.OK, ""),
        ("Darwin", "arm64", Level.OK, ""),
        ("Linux", "riscv64", Level.MISSING, ""),
        ("Windows", "AMD64", Level.BROKEN, "use Linux, macOS, or WSL 2 on Windows"),
    ],
)
def test_system(monkeypatch: pytest.MonkeyPatch, system: str, machine: str, level: Level, fix: str) -> None:
    monkeypatch.setattr(doctor.platform, "system", lambda: system)
    monkeypatch.setattr(doctor.platform, "release", lambda: "6.1")
    monkeypatch.setattr(doctor.platform, "machine", lambda: machine)
    found = check_system()
    assert (found.level, found.fix) == (level, fix)
    assert found.detail.startswith(f"{system} 6.1, {machine}")


@pytest.mark.parametrize(("free_gib", "level"), [(3.9, Level.MISSING), (4.1, Level.OK)])
def test_memory(monkeypatch: pytest.MonkeyPatch, free_gib: float, level: Level) -> None:
    measured = SimpleNamespace(available=free_gib * 2**30, total=8 * 2**30)
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(virtual_memory=lambda: measured))
    assert check_memory().level is level
    assert check_memory().detail == "4 of 8 GiB free"


def test_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**30))
    found = check_disk(Path("/x"))
    assert (found.name, found.level, found.detail) == ("disk", Level.MISSING, "1 GiB free below /x")
    assert "5 GiB" in found.fix


def test_missing_package_has_the_given_level_and_fix() -> None:
    found = check_package("no-such-package", fix="install it", level=Level.MISSING)
    assert found == Finding(name="no-such-package", level=Level.MISSING, detail="not installed", fix="install it")
    assert check_package("pytest", fix="").detail == pytest.__version__


@pytest.mark.usefixtures("no_sandbox")
def test_without_any_sandbox_the_executor_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    found = {finding.name: finding for finding in check_executor()}
    assert found["sandbox"].level is Level.BROKEN
    assert main(["doctor", "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["name"]: line["level"] for line in lines}["docker"] == "missing"


def test_findings_are_readable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "try_sandbox", lambda name: f"{name} [1 worker]")
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "ok       docker            runs programs: docker [1 worker]\n" in shown
    assert all(len(line) < 200 for line in shown.splitlines())
