"""What each profile adds to a sandbox: Python packages, and for `cuda` one GPU.

`cpu` adds nothing. `torch` adds torch for the CPU. `cuda` adds torch and the GPU that ATOMFORGE_SANDBOX_GPU names (an
index, a UUID, or the UUID of a MIG slice), and no other: the programs choose among the GPUs that they see. There is no
default GPU, so that no sandbox uses a trainer's by accident. How the files and devices are made visible is each
backend's part.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from executor.backends.base import MAX_PROCESSES
from executor.backends.gpu.nvml import GpuNode, Nvml

PACKAGES = "/packages"
GPU_VARIABLE = "ATOMFORGE_SANDBOX_GPU"
_CONTROL_DEVICES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")
_MIG_CAPABILITIES = "/proc/driver/nvidia/capabilities"
_DRIVER_LIBRARY = "libcuda.so.1"
_CUDA_SPEC = {"max_open_files": 1024, "host_bytes": 2 << 30, "max_reset_s": 5.0}
"""A CUDA context opens 40 to 60 device files and takes up to 2 GiB of main memory; the driver frees it in seconds."""
_CUDA_PROCESSES = 64
"""Threads included; the driver and torch's backward pass start some for each program."""
_CUDA_CONTAINER_BYTES = 8 << 30
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
    """UUID, for a container runtime."""
    library_dirs: tuple[str, ...] = ()
    """Directories of the driver's libraries that the dynamic linker does not search by itself."""
    needs_proc: bool = False
    """Whether programs need /proc and /sys, as the CUDA driver does to start."""
    max_processes: int = MAX_PROCESSES
    container_bytes: int = 0
    """Smallest memory limit of a whole container."""


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
    try:
        node = Nvml().find(gpu)
        devices = list_gpu_devices(node)
    except OSError as error:
        raise ValueError(f"profile cuda: {GPU_VARIABLE} is {gpu}, but it cannot be found: {error}") from None
    return SandboxProfile(
        note=f"torch and GPU {gpu}, ",
        spec={**torch.spec, **_CUDA_SPEC, "cuda": node.uuid},
        packages=torch.packages,
        devices=tuple(device for device in (*devices, *_CONTROL_DEVICES) if Path(device).exists()),
        gpu=node.uuid,
        library_dirs=find_driver_dirs(os.environ.get("LD_LIBRARY_PATH", "")),
        needs_proc=True,
        max_processes=_CUDA_PROCESSES,
        container_bytes=_CUDA_CONTAINER_BYTES,
    )


def list_gpu_devices(node: GpuNode, capabilities: Path = Path(_MIG_CAPABILITIES)) -> list[str]:
    """List the device nodes of one GPU or MIG slice.

    A slice needs the node of its GPU and those of its two capabilities, without which it cannot be used
    (https://docs.nvidia.com/datacenter/tesla/mig-user-guide, section on device nodes and capabilities).

    Raises:
        OSError: the driver names no capabilities of the slice.
    """
    devices = [f"/dev/nvidia{node.minor}"]
    if node.mig is None:
        return devices
    instance = capabilities / f"gpu{node.minor}/mig/gi{node.mig[0]}"
    for access in (instance / "access", instance / f"ci{node.mig[1]}" / "access"):
        fields = dict(line.split(":", 1) for line in access.read_text().splitlines() if ":" in line)
        devices.append(f"/dev/nvidia-caps/nvidia-cap{int(fields['DeviceFileMinor'])}")
    return devices


def find_driver_dirs(library_path: str) -> tuple[str, ...]:
    """Return the directories of LD_LIBRARY_PATH with the CUDA driver; sandboxes do not inherit that variable."""
    return tuple(path for path in library_path.split(":") if path and Path(path, _DRIVER_LIBRARY).exists())


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
