"""The section `slurm` of a config file: what each job requests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.config.files import parse_config, read_yaml
from executor.commands.errors import UsageError

_TIME = re.compile(r"(\d+-)?\d{1,2}:\d\d:\d\d")


@dataclass(frozen=True, kw_only=True)
class SlurmConfig:
    """Resources and options of each job."""

    nodes: int = 1
    tasks_per_node: int = 1
    """Ranks per node, one per GPU."""
    gpus_per_node: int | None = None
    """null: none."""
    cpus_per_task: int = 1
    rollout_servers: int = 0
    """Further nodes, each with a vLLM server on all its GPUs, which samples the completions of RL."""
    mem_gib_per_node: int | None = None
    """null: the default of the partition."""
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str = "04:00:00"
    """Time limit, [D-]HH:MM:SS."""
    requeue: bool = True
    """Requeue the job after a preemption and before its time limit."""
    signal_before_end_s: int = 300
    """Seconds before the time limit at which the job requeues itself; more than an epoch with its checkpoint takes."""
    container: str | None = None
    """Image in which srun starts the ranks (pyxis); null: the Python that submits."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the job."""
    setup: tuple[str, ...] = ()
    """Lines of shell before the ranks start, such as `module load cuda`."""
    directives: tuple[str, ...] = ()
    """Further options of sbatch, such as `--constraint=h100`."""

    def __post_init__(self) -> None:
        for name in ("nodes", "tasks_per_node", "cpus_per_task", "signal_before_end_s"):
            if getattr(self, name) < 1:
                raise ValueError(f"slurm.{name} must be at least 1, not {getattr(self, name)}")
        if self.rollout_servers < 0:
            raise ValueError(f"slurm.rollout_servers must be at least 0, not {self.rollout_servers}")
        for name in ("gpus_per_node", "mem_gib_per_node"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"slurm.{name} must be at least 1, or null for none, not {value}")
        if self.gpus_per_node is not None and self.gpus_per_node != self.tasks_per_node:
            tasks, gpus = self.tasks_per_node, self.gpus_per_node
            raise ValueError(f"slurm.tasks_per_node is {tasks}, but gpus_per_node {gpus}: each rank uses one GPU")
        if not _TIME.fullmatch(self.time):
            raise ValueError(f"slurm.time must have the form [D-]HH:MM:SS, in quotes, not {self.time!r}")
        if self.requeue and self.time_s <= self.signal_before_end_s:
            raise ValueError(
                f"slurm.time {self.time} is too short: signal_before_end_s takes {self.signal_before_end_s} s of it"
            )
        if wrong := [line for line in self.directives if not line.startswith("--")]:
            raise ValueError(f"slurm.directives: {wrong[0]!r} is not an option of sbatch, such as --constraint=h100")

    @property
    def time_s(self) -> int:
        """Time limit in seconds."""
        seconds = parse_time(self.time)
        assert seconds is not None
        return seconds

    @property
    def num_ranks(self) -> int:
        """Ranks of a job, without its rollout servers."""
        return self.nodes * self.tasks_per_node


def parse_time(text: str) -> int | None:
    """Parse a time in Slurm's format, [D-][HH:]MM:SS, to seconds; None if it is not a number (infinite)."""
    days, dash, clock = text.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in [*parts, *([days] if dash else [])]):
        return None
    seconds = 24 * 3600 * int(days or 0)
    return seconds + sum(int(part) * 60**power for power, part in enumerate(reversed(parts)))


def read_slurm_config(files: Sequence[str]) -> tuple[SlurmConfig, list[str]]:
    """Read the sections `slurm` of config files.

    Args:
        files: config files; later ones override earlier ones.

    Returns:
        The config, and the files without such a section.

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
            raise UsageError(f"{path}: slurm must be the only section of its file; move {more} to another file")
        if not isinstance(content["slurm"], dict):
            raise UsageError(f"{path}: slurm must be a mapping, not {content['slurm']!r}")
        merged |= content["slurm"]
        source = path
    if not source:
        raise UsageError("no --config has a section `slurm`; add configs/cluster/slurm.yaml, or your own copy")
    return parse_config(SlurmConfig, merged, source=source, prefix="slurm."), others
