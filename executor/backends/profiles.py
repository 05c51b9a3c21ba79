"""What a sandbox of each profile is shown beside the system and Python: packages, and for `cuda` one GPU.

`cpu` is shown nothing: no device node of a GPU and no torch. `torch` is torch on the CPU. `cuda` is torch and one
device, chosen by ATOMFORGE_SANDBOX_GPU (an index, a UUID, or the UUID of a MIG slice). A trainer's own device is not
taken by accident: there is no default. How backends show it is theirs.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from executor.backends.torch_files import torch_files

PACKAGES = "/packages"
GPU_VARIABLE = "ATOMFORGE_SANDBOX_GPU"
_CONTROL_DEVICES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")


@dataclass(frozen=True, kw_only=True)
class ProfileParts:
    """What one profile adds to a sandbox."""

    note: str = ""
    """For the description of a backend; ends with a comma and a space."""
    box: Mapping[str, Any] = field(default_factory=dict)
    """What the worker is told."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Place in the sandbox to file or folder of this machine, read-only."""
    devices: tuple[str, ...] = ()
    """Device nodes."""
    gpu: str | None = None
    """Index or UUID for the container runtime."""

    def device_requests(self) -> list[Any]:
        """Ask the Docker engine (NVIDIA container runtime) for the device."""
        if self.gpu is None:
            return []
        from docker.types import DeviceRequest

        return [DeviceRequest(driver="nvidia", device_ids=[self.gpu], capabilities=[["compute", "utility"]])]


def torch_parts() -> ProfileParts:
    """Torch on the CPU, with the very files of this Python.

    Raises:
        ValueError: torch is not installed here.
    """
    files = {f"{PACKAGES}/{name}": place for name, place in torch_files().items()}
    return ProfileParts(note="torch on the CPU, ", box={"packages": PACKAGES}, files=files)


def cuda_parts() -> ProfileParts:
    """Torch and the GPU that the environment names.

    Raises:
        ValueError: none is named, there is no such device node, or torch is not installed here.
    """
    gpu = os.environ.get(GPU_VARIABLE)
    if not gpu:
        raise ValueError(f"profile cuda: name the sandboxes' GPU in {GPU_VARIABLE}, an index or the UUID of a slice")

    if not Path("/dev/nvidiactl").exists():
        raise ValueError("profile cuda: there is no NVIDIA driver here (/dev/nvidiactl is missing)")
    torch = torch_parts()
    nodes = (f"/dev/nvidia{gpu}",) if gpu.isdigit() else tuple(map(str, sorted(Path("/dev").glob("nvidia[0-9]*"))))
    if missing := [node for node in nodes if not Path(node).exists()]:
        raise ValueError(f"profile cuda: {GPU_VARIABLE} is {gpu}, but there is no {missing[0]}")
    devices = tuple(node for node in (*nodes, *_CONTROL_DEVICES) if Path(node).exists())
    visible = "0" if gpu.isdigit() else gpu
    return ProfileParts(
        note=f"torch and GPU {gpu}, ",
        box={**torch.box, "cuda": visible},
        files=torch.files,
        devices=devices,
        gpu=gpu,
    )


PROFILE_PARTS: Mapping[str, Callable[[], ProfileParts]] = {
    "cpu": ProfileParts,
    "torch": torch_parts,
    "cuda": cuda_parts,
}
