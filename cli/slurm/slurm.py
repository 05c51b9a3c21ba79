"""Speaks to Slurm through its own commands: hand in, ask for states. Nothing is decided here."""

from __future__ import annotations

import re
import shutil
import subprocess

from executor.commands.errors import UsageError, one_line

ENDED = "ended"
"""State of a job that Slurm does not know any more."""


def check(script: str, *, time_s: int, partition: str | None) -> None:
    """Ask Slurm whether it could ever run this; a job it takes and cannot run would wait for ever.

    Args:
        script: of the job.
        time_s: asked for.
        partition: asked for; None = Slurm's default.

    Raises:
        UsageError: Slurm is not here, or could not; one line with what would be right where it can be told.
    """
    if shutil.which("sbatch") is None:
        raise UsageError(
            "sbatch was not found: Slurm is not installed here; --print-script shows what would be handed in"
        )
    _sbatch(script, "--test-only")
    for name, longest in partitions().items():
        is_asked = name.rstrip("*") == partition if partition is not None else name.endswith("*")
        if is_asked and longest is not None and time_s > longest:
            most = f"jobs of partition {name.rstrip('*')} may take {longest // 60} minutes"
            raise UsageError(f"slurm.time is too long: {most}, this one asks for {time_s // 60}")


def hand_in(script: str, *, after: str | None = None, each_after_its_own: bool = False) -> str:
    """Hand a batch script in and return the number of the job.

    Args:
        script: its text.
        after: number of a job that must have ended well before.
        each_after_its_own: both are arrays, and each element waits for that of the same number alone.

    Raises:
        UsageError: Slurm refuses; one line.
    """
    waits = [] if after is None else [f"--dependency={'aftercorr' if each_after_its_own else 'afterok'}:{after}"]
    waits += ["--kill-on-invalid-dep=yes"] if waits else []
    return _sbatch(script, "--parsable", *waits).strip().partition(";")[0]


def partitions() -> dict[str, int | None]:
    """List the partitions, the default one with a star: the most seconds a job may take there; None = no limit."""
    shown = subprocess.run(
        ["sinfo", "--noheader", "--format=%P %l"], capture_output=True, text=True, check=False
    ).stdout
    return {name: seconds(longest) for name, _, longest in (line.strip().partition(" ") for line in shown.splitlines())}


def seconds(text: str) -> int | None:
    """Read a time as Slurm writes it, [D-][HH:]MM:SS; None where it is no number (infinite)."""
    days, dash, clock = text.partition("-")
    parts = (clock if dash else text).split(":")
    if not all(part.isdigit() for part in parts) or (dash and not days.isdigit()):
        return None
    total = 0
    for part in parts:
        total = 60 * total + int(part)
    return total + (24 * 3600 * int(days) if dash else 0)


def states(numbers: list[str]) -> dict[str, str]:
    """Tell the states of jobs, by number; of an array "RUNNING 1, PENDING 4"; `ENDED` where Slurm has forgotten them.

    Raises:
        UsageError: Slurm is not here, or does not answer.
    """
    if shutil.which("squeue") is None:
        raise UsageError("squeue was not found: Slurm is not installed here")
    asked = ["squeue", "--noheader", "--states=all", "--array", "--format=%F %T"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UsageError(f"squeue does not answer: {_reason(done.stderr)}")
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        number, _, state = line.partition(" ")
        found.setdefault(number, []).append(state)
    return {number: _summed(found.get(number, [])) for number in numbers}


def _summed(each: list[str]) -> str:
    if len(each) < 2:
        return each[0] if each else ENDED
    return ", ".join(f"{state} {each.count(state)}" for state in dict.fromkeys(each))


def _sbatch(script: str, *options: str) -> str:
    done = subprocess.run(["sbatch", *options], input=script, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UsageError(f"sbatch refused the job: {_reason(done.stderr)}")
    return done.stdout


def _reason(said: str) -> str:
    """Put what Slurm said into one line, with what would be right."""
    words = one_line(re.sub(r"sbatch: (error: )?", "", said))
    if "partition" in words:
        words += f" (slurm.partition is one of: {', '.join(name.rstrip('*') for name in partitions())})"
    elif "generic resource" in words:
        words += " (no node has what slurm.gpus_per_node asks for; null asks for none)"
    elif "node configuration" in words:
        words += (
            " (slurm.nodes, tasks_per_node, cpus_per_task, mem_gib_per_node or gpus_per_node is more than there is)"
        )
    return words
