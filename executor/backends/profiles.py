"""What each profile adds to a sandbox: Python packages, and for `cuda` one GPU.

`cpu` adds nothing. `torch` adds torch for the CPU. `cuda` adds torch and the GPU that ATOMFORGE_SANDBOX_GPU names (an
index, a UUID, or the UUID of a MIG slice). There is no default GPU, so that no sandbox uses a trainer's by accident.
How the files and devices are made visible is each backend's part.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

PACKAGES = "/packages"
GPU_VARIABLE = "ATOMFORGE_SANDBOX_GPU"
_CONTROL_DEVICES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")
_ROOT_DISTRIBUTIONS = ("torch", "numpy")
_EXTRA = re.compile(r";.*\bextra\s*==")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True)
class SandboxProfile:
    """What one profile adds to a sandbox."""

    note: str = ""
    """For the description of a backend; ends with a comma and a space."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the sandbox spec."""
    packages: Mapping[str, Path] = field(default_factory=dict)
    """Path in the sandbox to a file or directory of this machine, read-only."""
    devices: tuple[str, ...] = ()
    """Device nodes."""
    gpu: str | None = None
    """Index or UUID, for a container runtime."""


def load_profile(name: str) -> SandboxProfile:
    """Find what a profile (one of `executor.types.PROFILES`) needs on this machine.

    Raises:
        ValueError: torch is not installed, no GPU is named, or the GPU has no device node.
    """
    if name == "cpu":
        return SandboxProfile()
    packages = {f"{PACKAGES}/{name}": path for name, path in find_torch_files().items()}
    torch = SandboxProfile(note="torch on the CPU, ", spec={"packages": PACKAGES}, packages=packages)
    return torch if name == "torch" else _add_gpu(torch)


def _add_gpu(torch: SandboxProfile) -> SandboxProfile:
    gpu = os.environ.get(GPU_VARIABLE)
    if not gpu:
        raise ValueError(f"profile cuda: name the sandboxes' GPU in {GPU_VARIABLE}, an index or the UUID of a slice")
    if not Path("/dev/nvidiactl").exists():
        raise ValueError("profile cuda: there is no NVIDIA driver here (/dev/nvidiactl is missing)")
    nodes = (f"/dev/nvidia{gpu}",) if gpu.isdigit() else tuple(map(str, sorted(Path("/dev").glob("nvidia[0-9]*"))))
    if missing := [node for node in nodes if not Path(node).exists()]:
        raise ValueError(f"profile cuda: {GPU_VARIABLE} is {gpu}, but there is no {missing[0]}")
    return SandboxProfile(
        note=f"torch and GPU {gpu}, ",
        spec={**torch.spec, "cuda": "0" if gpu.isdigit() else gpu},
        packages=torch.packages,
        devices=tuple(node for node in (*nodes, *_CONTROL_DEVICES) if Path(node).exists()),
        gpu=gpu,
    )


def find_torch_files() -> dict[str, Path]:
    """Find the files of torch, numpy and their dependencies, without importing them.

    The rest of site-packages stays outside the sandbox, because a benchmark's package may contain its solutions.

    Returns:
        Top-level name in the directory of packages, to path on this machine.

    Raises:
        ValueError: torch is not installed for this Python.
    """
    found: dict[str, Distribution] = {}
    pending = list(_ROOT_DISTRIBUTIONS)
    while pending:
        name = pending.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            found[key] = distribution(name)
        except PackageNotFoundError:
            if name == "torch":
                raise ValueError("profile torch: torch is not installed for this Python") from None
            continue  # numpy, which torch does not require, or a dependency on another system
        requirements = [line for line in found[key].requires or [] if not _EXTRA.search(line)]
        pending += [match.group() for match in map(_NAME.match, requirements) if match]
    return {name: path for package in found.values() for name, path in _list_top_level(package).items()}


def _list_top_level(package: Distribution) -> dict[str, Path]:
    """List the top-level files and directories of a distribution except its metadata."""
    found = {}
    for file in package.files or []:
        name = file.parts[0]
        if name not in ("..", "__pycache__") and not name.endswith((".dist-info", ".pth")):
            found[name] = Path(str(package.locate_file(name)))
    return found
