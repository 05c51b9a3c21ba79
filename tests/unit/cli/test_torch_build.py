"""Which build of torch fits a driver and its GPUs."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli import torch_build
from cli.commands import doctor
from cli.torch_build import Gpu, choose_build, parse_gpus
from executor.commands.doctor import Level

V100, T4, A100, H100, B200 = (7, 0), (7, 5), (8, 0), (9, 0), (10, 0)


@pytest.mark.parametrize(
    ("driver", "capabilities", "build"),
    [
        (580, [H100], "cu130"), (595, [T4, A100], "cu130"), (580, [V100], "cu126"), (580, [V100, H100], "cu126"),
        (570, [H100], "cu126"), (570, [B200], "cu128"), (525, [A100], "cu126"), (470, [A100], "cpu"), (580, [], "cpu"),
    ],
)  # fmt: skip
def test_build_by_driver_and_compute_capability(driver: int, capabilities: list, build: str) -> None:
    assert choose_build([Gpu(driver, capability) for capability in capabilities]) == build


def test_output_of_nvidia_smi_is_parsed() -> None:
    text = "550.54.15, 8.0\n550.54.15, 9.0\n\nUnable to determine the device handle\n550.54.15, [N/A]\n"
    assert parse_gpus(text) == [Gpu(550, (8, 0)), Gpu(550, (9, 0))]


def test_it_runs_before_anything_is_installed(tmp_path: Path) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '550.54.15, 9.0'\n")
    smi.chmod(0o755)
    command = [sys.executable, "-I", "-S", torch_build.__file__]
    for path, build in ((tmp_path, "cu126"), ("/nowhere", "cpu")):
        done = subprocess.run(command, env={"PATH": f"{path}:/bin"}, capture_output=True, text=True, check=True)
        assert done.stdout == f"{build}\n"


def test_doctor_names_a_command_that_replaces_the_cpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.__version__", "2.13.0+cpu")
    monkeypatch.setattr(doctor, "query_gpus", lambda: [Gpu(550, H100)])
    found = doctor.check_gpus()
    assert found.level is Level.MISSING
    assert found.detail == "1 with driver 550, but torch 2.13.0+cpu finds none"
    # "torch" alone is already satisfied by 2.13.0+cpu
    assert '--force-reinstall "torch==2.13.0+cu126" --index-url https://download.pytorch.org/whl/cu126' in found.fix
    monkeypatch.setattr(doctor, "query_gpus", lambda: [Gpu(470, A100)])
    assert doctor.check_gpus().fix == "install an NVIDIA driver from 525 on"
