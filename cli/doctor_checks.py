"""What works on this machine, looked at one thing at a time; each finding has the one line that mends it.

Nothing is installed and nothing is changed. The sandboxes are tried by really running a program in them.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LEAST_DISK_GIB = 5
LEAST_MEMORY_GIB = 4
PACKAGES = ("torch", "lightning", "transformers", "datasets", "tensorboard")


class Level(StrEnum):
    """How a finding stands."""

    OK = "ok"
    MISSING = "missing"
    """Something works less well, or not at all, but a run on the CPU works."""
    BROKEN = "broken"
    """Nothing can be trained here."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    level: Level
    seen: str
    mend: str = ""
    """A command, or a line that says what to do; empty where nothing is to be mended."""


def examine() -> Iterator[Finding]:
    """Look at everything in turn; a finding comes as soon as it is made."""
    yield python()
    yield from packages()
    yield cores()
    yield memory()
    yield disk(Path.cwd())
    yield gpus()
    sandboxes = [sandbox("bubblewrap", _opened), sandbox("docker", _opened)]
    yield from sandboxes
    if not any(found.level is Level.OK for found in sandboxes):
        yield Finding(
            name="sandbox",
            level=Level.BROKEN,
            seen="no sandbox works: programs cannot be run",
            mend=sandboxes[0].mend,
        )
    yield slurm()


def python() -> Finding:
    """Look at the interpreter."""
    seen = f"{platform.python_version()} ({sys.executable})"
    if (3, 11) <= sys.version_info[:2] <= (3, 14):
        return Finding(name="python", level=Level.OK, seen=seen)
    return Finding(
        name="python", level=Level.BROKEN, seen=seen, mend="install a Python from 3.11 to 3.14, then `make install`"
    )


def packages() -> Iterator[Finding]:
    """Look at the packages that compute and show."""
    for name in PACKAGES:
        try:
            yield Finding(name=name, level=Level.OK, seen=version(name))
        except PackageNotFoundError:
            yield Finding(name=name, level=Level.BROKEN, seen="not installed", mend="make install")


def cores() -> Finding:
    """Count the cores this process may use."""
    number = len(os.sched_getaffinity(0))
    return Finding(name="cores", level=Level.OK, seen=f"{number} of {os.cpu_count()} may be used")


def memory() -> Finding:
    """Look at the memory that is free now."""
    import psutil

    free, total = psutil.virtual_memory().available / 2**30, psutil.virtual_memory().total / 2**30
    seen = f"{free:.0f} of {total:.0f} GiB free"
    if free >= LEAST_MEMORY_GIB:
        return Finding(name="memory", level=Level.OK, seen=seen)
    return Finding(
        name="memory", level=Level.MISSING, seen=seen, mend=f"close programs: {LEAST_MEMORY_GIB} GiB are needed"
    )


def disk(path: Path) -> Finding:
    """Look at the space below a directory."""
    free = shutil.disk_usage(path).free / 2**30
    seen = f"{free:.0f} GiB free below {path}"
    if free >= LEAST_DISK_GIB:
        return Finding(name="disk", level=Level.OK, seen=seen)
    return Finding(name="disk", level=Level.MISSING, seen=seen, mend=f"free some: runs want {LEAST_DISK_GIB} GiB")


def gpus() -> Finding:
    """Ask torch for GPUs."""
    try:
        import torch
    except ImportError:
        return Finding(name="gpu", level=Level.BROKEN, seen="torch cannot be imported", mend="make install")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return Finding(name="gpu", level=Level.OK, seen=f"{len(names)}: {', '.join(dict.fromkeys(names))}")
    if shutil.which("nvidia-smi") is None:
        return Finding(name="gpu", level=Level.MISSING, seen="none; trainings run on the CPU")
    return Finding(
        name="gpu",
        level=Level.MISSING,
        seen=f"there is a driver, but torch {torch.__version__} finds no GPU",
        mend="pip install torch --index-url https://download.pytorch.org/whl/cu130",
    )


def sandbox(name: str, run_a_program: Callable[[str], str]) -> Finding:
    """Try a sandbox by running a program in it.

    Args:
        name: docker or bubblewrap.
        run_a_program: opens the sandbox, runs a program, describes it; raises ValueError where that fails.
    """
    try:
        return Finding(name=name, level=Level.OK, seen=f"runs programs: {run_a_program(name)}")
    except ValueError as error:
        return Finding(name=name, level=Level.MISSING, seen=str(error), mend=_mend_sandbox(name, str(error)))


def slurm() -> Finding:
    """Ask Slurm for its partitions."""
    if shutil.which("sinfo") is None:
        return Finding(
            name="slurm", level=Level.MISSING, seen="not installed; `atomforge submit` needs it, nothing else"
        )
    done = subprocess.run(["sinfo", "--noheader", "--format=%R %D"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return Finding(
            name="slurm", level=Level.MISSING, seen="installed, but no controller answers", mend="scontrol ping"
        )
    shown = "; ".join(" with ".join(line.split()) + " nodes" for line in done.stdout.splitlines())
    return Finding(name="slurm", level=Level.OK, seen=f"partitions: {shown}")


def _opened(name: str) -> str:
    from executor.api import open_executor

    with open_executor(name, num_workers=1) as executor:
        return str(executor.description)


def _mend_sandbox(name: str, reason: str) -> str:
    if name == "bubblewrap":
        if shutil.which("bwrap") is None:
            return "sudo apt-get install bubblewrap"
        return "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0 (or run as root, or use Docker)"
    if "executor build" in reason:
        return "atomforge executor build"
    if shutil.which("docker") is None and shutil.which("dockerd") is None:
        return "sudo apt-get install docker.io"
    return "sudo systemctl start docker (and be in the group docker: sudo usermod -aG docker $USER)"
