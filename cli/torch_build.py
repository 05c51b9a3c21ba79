"""Which build of torch fits the NVIDIA driver and the GPUs of this machine; `python cli/torch_build.py` prints it.

Standard library only: `.ci/setup` runs this file before anything is installed. It installs nothing.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from typing import NamedTuple

INDEX = "https://download.pytorch.org/whl"
DEFAULT_CUDA = "cu130"
"""Build of the torch on PyPI."""
_QUERY = ("nvidia-smi", "--query-gpu=driver_version,compute_cap", "--format=csv,noheader")
_QUERY_TIMEOUT_S = 20.0


class Gpu(NamedTuple):
    """What decides the build."""

    driver: int
    """Major version of the driver."""
    capability: tuple[int, int]
    """Compute capability: (8, 0) is an A100, (9, 0) an H100."""


def choose_build(gpus: Iterable[Gpu]) -> str:
    """Return the name of an index of torch wheels: `cu130`, `cu128`, `cu126` or `cpu`.

    CUDA 13.0 needs driver 580 and has no kernels for GPUs before Turing (7.5). CUDA 12 runs on every driver from 525 on
    (minor version compatibility); its 12.8 has kernels for Blackwell (10.0), its 12.6 for Volta and Pascal.
    https://docs.nvidia.com/deploy/cuda-compatibility/
    """
    gpus = list(gpus)
    if not gpus or gpus[0].driver < 525:
        return "cpu"
    oldest, newest = min(gpu.capability for gpu in gpus), max(gpu.capability for gpu in gpus)
    if gpus[0].driver >= 580 and oldest >= (7, 5):
        return DEFAULT_CUDA
    return "cu128" if newest >= (10, 0) else "cu126"


def parse_gpus(text: str) -> list[Gpu]:
    """Parse lines such as `550.54.15, 8.0`; lines of another form are left out."""
    found = []
    for line in text.splitlines():
        driver, _, capability = (part.strip() for part in line.partition(","))
        major, _, minor = capability.partition(".")
        if driver.split(".")[0].isdigit() and major.isdigit() and minor.isdigit():
            found.append(Gpu(int(driver.split(".")[0]), (int(major), int(minor))))
    return found


def query_gpus() -> list[Gpu]:
    """Ask nvidia-smi; an empty list where there is no driver or no GPU."""
    if shutil.which(_QUERY[0]) is None:
        return []
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_QUERY_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_gpus(done.stdout) if done.returncode == 0 else []


if __name__ == "__main__":
    sys.stdout.write(choose_build(query_gpus()) + "\n")
