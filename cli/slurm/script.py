"""The text of a batch script. Pure.

The script asks Slurm to be told in time (`--signal=B:USR1@...`), and then puts its own job back into the queue: the
ranks are ended, and the next start goes on from the newest checkpoint (`--ckpt_path last`). A preempted job is
requeued by Slurm itself and goes on the same way. What is lost is at most the epoch under way.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.slurm.settings import SlurmSettings


@dataclass(frozen=True, kw_only=True)
class Job:
    """One batch job: a command, or an array of commands that differ in single words."""

    name: str
    commands: Sequence[Sequence[str]]
    """Words of each command; more than one makes an array."""
    directory: Path
    """Where it runs."""
    log: Path
    """Folder of its output."""


def script(job: Job, settings: SlurmSettings) -> str:
    """Write the batch script of a job."""
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in _options(job, settings)), ""]
    lines += [f"cd {shlex.quote(str(job.directory))} || exit 1"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in settings.environment.items()]
    lines += settings.setup
    lines += ["", *_command_lines(job)]
    if settings.requeue:
        whole = '"${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}"'
        lines += [
            "again() {",
            '  echo "atomforge: back into the queue before the time is over"',
            f"  job={whole}",
            '  scontrol requeue "${job:-$SLURM_JOB_ID}"',
            "}",
            "trap again USR1",
        ]
    container = [] if settings.container is None else [f"--container-image={shlex.quote(settings.container)}"]
    run = " ".join(["srun", "--kill-on-bad-exit=1", *container, '"${command[@]}"', "&"])
    return "\n".join([*lines, run, "ranks=$!", *_WAIT]) + "\n"


_WAIT = (
    'wait "$ranks"; code=$?',
    'while kill -0 "$ranks" 2>/dev/null; do wait "$ranks"; code=$?; done  # a signal ends the first wait',
    'exit "$code"',
)


def _options(job: Job, settings: SlurmSettings) -> list[str]:
    is_array = len(job.commands) > 1
    options = [
        f"--job-name={job.name}",
        f"--nodes={settings.nodes}",
        f"--ntasks-per-node={settings.tasks_per_node}",
        f"--cpus-per-task={settings.cpus_per_task}",
        f"--time={settings.time}",
        f"--output={job.log}/{job.name}-{'%A_%a' if is_array else '%j'}.log",
        "--open-mode=append",
    ]
    if settings.requeue:
        options += ["--requeue", f"--signal=B:USR1@{settings.requeue_before_s}"]
    else:
        options.append("--no-requeue")
    if is_array:
        options.append(f"--array=0-{len(job.commands) - 1}")
    if settings.gpus_per_node is not None:
        options.append(f"--gpus-per-node={settings.gpus_per_node}")
    if settings.mem_gib_per_node is not None:
        options.append(f"--mem={settings.mem_gib_per_node}G")
    for name in ("partition", "account", "qos"):
        if getattr(settings, name) is not None:
            options.append(f"--{name}={getattr(settings, name)}")
    return [*options, *settings.directives]


def _command_lines(job: Job) -> list[str]:
    """One command, or a choice of the array's."""
    if len(job.commands) == 1:
        return [f"command=({shlex.join(job.commands[0])})"]
    cases = [f"  {index}) command=({shlex.join(words)}) ;;" for index, words in enumerate(job.commands)]
    return ['case "$SLURM_ARRAY_TASK_ID" in', *cases, "esac"]
