"""Submit jobs with Slurm's commands, query their states, and keep a record of each: `DIR/jobs/NUMBER.json`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cli.slurm.config import SlurmConfig, parse_time
from executor.commands.errors import UsageError, one_line
from executor.commands.io import write_json

ENDED = "ended"
"""State of a job that Slurm no longer lists."""


@dataclass(frozen=True, kw_only=True)
class SubmittedJob:
    """A job that Slurm has accepted."""

    number: str
    name: str
    runs: Sequence[str | None]
    """Run directory of each element; None if it has none."""
    log: str
    """Directory of its output."""
    after: str | None = None
    """Number of the job it waits for."""

    def write(self, directory: Path) -> None:
        """Write the record below `directory`."""
        folder = directory / "jobs"
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{self.number}.json", asdict(self))


def read_submitted(directory: Path) -> list[SubmittedJob]:
    """Read all records, in the order of their numbers.

    Raises:
        UsageError: there are none, or a file is not a record.
    """
    paths = sorted((directory / "jobs").glob("*.json"), key=lambda path: int(path.stem) if path.stem.isdigit() else 0)
    if not paths:
        raise UsageError(f"{directory} holds no jobs of `atomforge submit`")
    jobs = []
    for path in paths:
        try:
            jobs.append(SubmittedJob(**json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"{path} is not the record of a job") from error
    return jobs


def check_script(script: str, config: SlurmConfig) -> None:
    """Check that Slurm could run a script: it accepts some jobs that can never start.

    Raises:
        UsageError: Slurm is not installed, or the job cannot run here.
    """
    if shutil.which("sbatch") is None:
        raise UsageError("sbatch was not found: Slurm is not installed; --print-script shows the batch scripts")
    _run_sbatch(script, "--test-only")
    for name, limit_s in _list_partitions().items():
        is_used = name.rstrip("*") == config.partition if config.partition is not None else name.endswith("*")
        if is_used and limit_s is not None and config.time_s > limit_s:
            limit = f"the limit of partition {name.rstrip('*')} is {limit_s // 60} minutes"
            raise UsageError(f"slurm.time is too long: {limit}, not {config.time_s // 60}")


def submit(script: str, *, after: str | None = None, by_element: bool = False) -> str:
    """Submit a batch script and return the number of the job.

    Args:
        script: the script.
        after: number of a job that must have completed successfully before.
        by_element: both jobs are arrays, and each element waits only for the element of the same number.

    Raises:
        UsageError: an error of Slurm.
    """
    waits = []
    if after is not None:
        waits = [f"--dependency={'aftercorr' if by_element else 'afterok'}:{after}", "--kill-on-invalid-dep=yes"]
    return _run_sbatch(script, "--parsable", *waits).strip().partition(";")[0]


def query_states(numbers: Sequence[str]) -> dict[str, str]:
    """Query the states of jobs by number; for an array such as "RUNNING 1, PENDING 4".

    Raises:
        UsageError: Slurm is not installed, or does not answer.
    """
    if shutil.which("squeue") is None:
        raise UsageError("squeue was not found: Slurm is not installed")
    command = ["squeue", "--noheader", "--states=all", "--array", "--format=%F %T"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UsageError(f"squeue does not answer: {_explain(done.stderr)}")
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        number, _, state = line.partition(" ")
        found.setdefault(number, []).append(state)
    return {number: _summarize(found.get(number, [])) for number in numbers}


def _summarize(states: list[str]) -> str:
    if len(states) < 2:
        return states[0] if states else ENDED
    return ", ".join(f"{state} {states.count(state)}" for state in dict.fromkeys(states))


def _list_partitions() -> dict[str, int | None]:
    """List the partitions, the default one with a star, with their time limit in seconds; None: no limit."""
    command = ["sinfo", "--noheader", "--format=%P %l"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return {name: parse_time(limit) for name, _, limit in (line.strip().partition(" ") for line in lines)}


def _run_sbatch(script: str, *options: str) -> str:
    done = subprocess.run(["sbatch", *options], input=script, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UsageError(f"sbatch rejected the job: {_explain(done.stderr)}")
    return done.stdout


def _explain(message: str) -> str:
    """Put a message of Slurm in one line, with the key of the config to change."""
    line = one_line(re.sub(r"sbatch: (error: )?", "", message))
    if "partition" in line:
        return f"{line} (slurm.partition is one of: {', '.join(name.rstrip('*') for name in _list_partitions())})"
    if "generic resource" in line:
        return f"{line} (no node has the slurm.gpus_per_node; null requests none)"
    if "node configuration" in line:
        keys = "slurm.nodes, tasks_per_node, cpus_per_task, mem_gib_per_node or gpus_per_node"
        return f"{line} ({keys} exceeds the cluster)"
    return line
