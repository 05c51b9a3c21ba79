"""The simulated device, compiled once, and programs that run on it in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.device.simulated import build
from tests.support.small_data import write_small_data
from tests.support.tiny_runs import write_policy

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 900
Report = dict[str, Any]
RunSimulated = Callable[..., list[Report]]


@pytest.fixture(scope="session")
def libraries() -> Path:
    """Directory of the compiled device."""
    if (reason := build.missing()) is not None:
        pytest.skip(f"no simulated device: {reason}")
    return build.build()


@pytest.fixture(scope="session")
def run_simulated(libraries: Path, tmp_path_factory: pytest.TempPathFactory) -> RunSimulated:
    """Run a module on simulated GPUs and return the JSON objects among the lines it prints."""

    def run(module: str, *arguments: object, gpus: int = 1, **environment: str) -> list[Report]:
        env = {**os.environ, build.LIBRARY_DIR: str(libraries), "SIMULATED_GPUS": str(gpus), **environment}
        env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", f"tests.device.{module}", *map(str, arguments)]
        scratch = tmp_path_factory.mktemp("simulated")
        done = subprocess.run(
            command, env=env, cwd=scratch, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    return run


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set."""
    return write_small_data(tmp_path_factory.mktemp("data") / "small")


@pytest.fixture(scope="session")
def policy_dir(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained policy with sharp distributions, as a Hugging Face folder."""
    return write_policy(tmp_path_factory.mktemp("policy") / "start", data_dir, scale=8.0)
