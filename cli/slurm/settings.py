"""The `slurm` section of a cluster's YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cli.config.files import read_yaml
from executor.commands.config import parse_dataclass
from executor.commands.errors import UsageError

_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d{1,2}):(?P<minutes>\d\d):(?P<seconds>\d\d)")


@dataclass(frozen=True, kw_only=True)
class SlurmSettings:
    """What is asked of Slurm for each job."""

    nodes: int = 1
    tasks_per_node: int = 1
    """Ranks of a node: one a GPU."""
    gpus_per_node: int | None = None
    """null = none are asked for."""
    cpus_per_task: int = 1
    mem_gib_per_node: int | None = None
    """null = the partition's default."""
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str = "04:00:00"
    """[D-]HH:MM:SS"""
    requeue: bool = True
    """Go back into the queue after a preemption and before the time is over."""
    requeue_before_s: int = 300
    """Seconds before the end of the time; more than an epoch (an iteration of RL) with its checkpoint takes."""
    container: str | None = None
    """Image that srun starts the ranks in (pyxis); null = the Python that submits."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the job."""
    setup: tuple[str, ...] = ()
    """Lines of shell before the ranks start, such as `module load cuda`."""
    directives: tuple[str, ...] = ()
    """Further options of sbatch, such as `--constraint=h100`."""

    def __post_init__(self) -> None:
        for name in ("nodes", "tasks_per_node", "cpus_per_task", "requeue_before_s"):
            if getattr(self, name) < 1:
                raise ValueError(f"slurm.{name} is {getattr(self, name)}: at least 1 is needed")
        for name in ("gpus_per_node", "mem_gib_per_node"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"slurm.{name} is {value}: at least 1 is needed, or null for none")
        if self.gpus_per_node is not None and self.gpus_per_node != self.tasks_per_node:
            tasks, gpus = self.tasks_per_node, self.gpus_per_node
            raise ValueError(
                f"slurm.tasks_per_node is {tasks}, but gpus_per_node {gpus}: each rank has a GPU of its own"
            )
        if self.requeue and self.time_s <= self.requeue_before_s:
            margin = self.requeue_before_s
            raise ValueError(f"slurm.time {self.time} is too short: requeue_before_s takes {margin} s of it")
        if wrong := [line for line in self.directives if not line.startswith("--")]:
            raise ValueError(f"slurm.directives: {wrong[0]!r} is no option of sbatch, such as --constraint=h100")

    @property
    def time_s(self) -> int:
        """The time in seconds.

        Raises:
            ValueError: it is not written [D-]HH:MM:SS.
        """
        found = _TIME.fullmatch(self.time)
        if found is None:
            raise ValueError(f"slurm.time is {self.time!r}: it is written [D-]HH:MM:SS, in quotes")
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def read_settings(files: list[str]) -> tuple[SlurmSettings, list[str]]:
    """Take the `slurm` sections out of the files of a command.

    Args:
        files: YAML files; later ones lie over earlier ones.

    Returns:
        The settings, and the files that hold no such section.

    Raises:
        UsageError: no file has a section, or a section shares its file with other keys.
    """
    merged: dict[str, Any] = {}
    others, source = [], ""
    for path in files:
        content = read_yaml(path)
        if "slurm" not in content:
            others.append(path)
            continue
        if len(content) > 1:
            more = ", ".join(key for key in content if key != "slurm")
            raise UsageError(f"{path}: slurm must stand alone in its file; put {more} into another")
        if not isinstance(content["slurm"], dict):
            raise UsageError(f"{path}: slurm takes keys of its own, got {content['slurm']!r}")
        merged |= content["slurm"]
        source = path
    if not source:
        raise UsageError("no --config has a section `slurm`; add configs/cluster/slurm.yaml, or your own copy")
    return parse_dataclass(SlurmSettings, merged, source=source, prefix="slurm."), others
