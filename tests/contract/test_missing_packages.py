"""What `.ci/setup` says where system packages are missing: one command of the system's package manager."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("bash", "cat", "cksum", "dirname", "env", "sed")
MISSING = "setup: missing system packages; run this, then make again:  "


def run_setup(folder: Path, *, system: str, programs: dict[str, str]) -> str:
    """Run `.ci/setup` as user 1000 where only `programs` (name: its script) are installed; return what it says."""
    path, checkout = folder / "bin", folder / "checkout"
    path.mkdir()
    (checkout / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "setup", checkout / ".ci")
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None
        (path / name).symlink_to(found)
    for name, script in ({"id": "echo 1000", "uname": f"echo {system}"} | programs).items():
        (path / name).write_text(f"#!{path}/bash\n{script}\n")
        (path / name).chmod(0o755)
    command = [str(path / "bash"), ".ci/setup"]
    done = subprocess.run(command, cwd=checkout, env={"PATH": str(path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    return done.stderr.rstrip("\n")


@pytest.mark.parametrize(
    ("manager", "system", "command"),
    [
        ("apt-get", "Linux", "sudo apt-get install -y python3 python3-venv bubblewrap"),
        ("dnf", "Linux", "sudo dnf install -y python3 bubblewrap"),
        ("pacman", "Linux", "sudo pacman -S --needed python bubblewrap"),
        ("brew", "Darwin", "brew install python@3.13"),
        ("other", "Linux", "install Python 3.11 to 3.14 with venv and bubblewrap"),
    ],
)
def test_one_command_installs_all_that_is_missing(tmp_path: Path, manager: str, system: str, command: str) -> None:
    assert run_setup(tmp_path, system=system, programs={manager: ""}) == MISSING + command


def test_only_what_is_missing_is_installed(tmp_path: Path) -> None:
    programs = {"apt-get": "", "python3.13": "echo /usr/bin/python3.13"}
    assert run_setup(tmp_path, system="Linux", programs=programs) == MISSING + "sudo apt-get install -y bubblewrap"


def test_an_unsupported_python_is_named(tmp_path: Path) -> None:
    script = "case $* in *--version*) echo Python 3.10.13;; *ensurepip*) exit 1;; *) exit 0;; esac"
    said = run_setup(tmp_path, system="Linux", programs={"apt-get": "", "python3": script})
    assert said.startswith("setup: Python 3.10.13 is not supported: install Python 3.11 to 3.14")


@pytest.mark.parametrize(
    ("build", "index", "arguments"),
    [
        ("cu126", "", "-q torch==2.13.0 --index-url https://download.pytorch.org/whl/cu126"),
        ("cu130", "", "-q torch==2.13.0"),
        ("cu130", "https://mirror/cu128", "-q torch==2.13.0 --index-url https://mirror/cu128"),
    ],
)
def test_torch_is_the_build_for_the_driver(tmp_path: Path, build: str, index: str, arguments: str) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$1" = cli/torch_build.py ] && echo {build}\n')
    python.chmod(0o755)
    setup = (ROOT / ".ci" / "setup").read_text(encoding="utf-8")
    function = "install_torch() {" + setup.partition("install_torch() {")[2].partition("\n}\n")[0] + "\n}"
    settings = f'say() {{ :; }}\npip() {{ echo "$@"; }}\npython={python}\nTORCH_INDEX={index}'
    script = f"{settings}\n{function}\ninstall_torch 2.13.0"
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == arguments
