"""Cores of this machine, and the command that installs system packages on it."""

import os
import subprocess
import sys

import pytest

from executor import machine
from executor.machine import count_cores, format_install_command


def test_cores_that_this_process_may_not_use_do_not_count() -> None:
    [core, *_] = os.sched_getaffinity(0)
    program = (
        f"import os; os.sched_setaffinity(0, [{core}]); from executor.machine import count_cores; print(count_cores())"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"1\n"
    assert count_cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("known", "counted"), [(10, 10), (None, 1)])
def test_without_affinities_all_cores_count(monkeypatch: pytest.MonkeyPatch, known: int | None, counted: int) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: known)
    assert count_cores() == counted


@pytest.mark.parametrize(
    ("managers", "command"),
    [
        (("apt-get",), "sudo apt-get install -y bubblewrap docker.io"),
        (("dnf",), "sudo dnf install -y bubblewrap moby-engine"),
        (("pacman",), "sudo pacman -S --needed bubblewrap docker"),
        (("apt-get", "brew"), "sudo apt-get install -y bubblewrap docker.io"),
        ((), "install bubblewrap and docker with the package manager of this system"),
    ],
)
def test_one_command_installs_several_packages(
    monkeypatch: pytest.MonkeyPatch, managers: tuple[str, ...], command: str
) -> None:
    monkeypatch.setattr(machine.shutil, "which", lambda program: program if program in managers else None)
    assert format_install_command(["bubblewrap", "docker"]) == command
