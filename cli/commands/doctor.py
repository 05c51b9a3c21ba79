"""`atomforge doctor`: what training needs, in addition to the checks of `executor.commands.doctor`."""

import argparse
import itertools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cli.torch_build import INDEX, choose_build, query_gpus
from executor.commands import doctor
from executor.commands.doctor import Finding, Level, check_package, show_findings

TRAINING_PACKAGES = ("torch", "lightning", "transformers", "datasets", "tensorboard")

_INSTALL = "make install" if (Path(__file__).parents[2] / ".ci").is_dir() else "pip install atomforge"
"""In a clone, and elsewhere."""

add_parser = doctor.add_parser


def run(args: argparse.Namespace) -> int:
    """Print every finding as soon as it is made; returns 1 if training on the CPU cannot work."""
    return show_findings(itertools.chain(doctor.check_executor(), check_training()), as_json=args.json)


def check_training() -> Iterator[Finding]:
    """Check the packages, the GPUs and Slurm."""
    for name in TRAINING_PACKAGES:
        yield check_package(name, fix=_INSTALL)
    yield check_gpus()
    yield check_slurm()


def check_gpus() -> Finding:
    """Check that torch finds the GPUs of this machine."""
    try:
        import torch
    except ImportError:
        return Finding(name="gpu", level=Level.BROKEN, detail="torch cannot be imported", fix="make install")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return Finding(name="gpu", level=Level.OK, detail=f"{len(names)}: {', '.join(dict.fromkeys(names))}")
    gpus = query_gpus()
    if not gpus:
        return Finding(name="gpu", level=Level.MISSING, detail="none; training runs on the CPU")
    build, version = choose_build(gpus), torch.__version__.partition("+")[0]
    detail = f"{len(gpus)} with driver {gpus[0].driver}, but torch {torch.__version__} finds none"
    if build == "cpu":
        return Finding(name="gpu", level=Level.MISSING, detail=detail, fix="install an NVIDIA driver from 525 on")
    fix = f'pip install --force-reinstall "torch=={version}+{build}" --index-url {INDEX}/{build}'
    return Finding(name="gpu", level=Level.MISSING, detail=detail, fix=fix)


def check_slurm() -> Finding:
    """Check that Slurm answers, and list its partitions."""
    if shutil.which("sinfo") is None:
        return Finding(name="slurm", level=Level.MISSING, detail="not installed; only `atomforge submit` needs it")
    done = subprocess.run(["sinfo", "--noheader", "--format=%R %D"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        detail = "installed, but no controller answers"
        return Finding(name="slurm", level=Level.MISSING, detail=detail, fix="scontrol ping")
    partitions = "; ".join(" with ".join(line.split()) + " nodes" for line in done.stdout.splitlines())
    return Finding(name="slurm", level=Level.OK, detail=f"partitions: {partitions}")
