"""`atomforge jobs`: show the states of submitted jobs and the last metrics of their runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.commands.submit import DIRECTORY

TAGS = ("loss/train", "reward/mean", "pass_at_k/synthetic_val/greedy")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of `jobs`."""
    parser = subparsers.add_parser(
        "jobs",
        help="show state and last metrics of submitted jobs",
        description="List the jobs of `atomforge submit`, with their state and the last metrics of each run.",
    )
    parser.add_argument("directory", type=Path, nargs="?", default=DIRECTORY, metavar="DIR", help=f"({DIRECTORY})")


def run(args: argparse.Namespace) -> int:
    """Print a line per job and per run; returns 0.

    Raises:
        UsageError: there are no jobs, or Slurm does not answer.
    """
    from cli.slurm.client import query_states, read_submitted

    jobs = read_submitted(args.directory)
    states = query_states([job.number for job in jobs])
    for job in jobs:
        print(f"{job.number}  {job.name}  {states[job.number]}")
        for index, run_dir in enumerate(job.runs):
            if run_dir is not None:
                number = job.number if len(job.runs) == 1 else f"{job.number}_{index}"
                print(f"  {number}  {run_dir}: {describe_progress(Path(run_dir))}")
    return 0


def describe_progress(run_dir: Path) -> str:
    """Describe a run: its last step and metrics, and whether it has finished."""
    from lightning_modules.training.logging.run_logger import read_curves

    if not run_dir.exists():
        return "not started"
    curves = read_curves(run_dir)
    last = {tag: curves[tag][-1] for tag in TAGS if curves.get(tag)}
    step = max((int(point[0]) for point in last.values()), default=None)
    words = [] if step is None else [f"step {step}"]
    words += [f"{tag} {value:.4g}" for tag, (_, value) in last.items()]
    if (run_dir / "checkpoints" / "final.ckpt").exists():
        words.append("finished")
    return ", ".join(words) or "started"
