"""`atomforge jobs`: how the jobs of `atomforge submit` stand, and the last numbers of their runs. Changes nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.commands.submit import DIRECTORY

TAGS = ("loss/train", "reward/mean", "pass_at_k/synthetic_val/greedy")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of `jobs`."""
    parser = subparsers.add_parser(
        "jobs",
        help="state and last numbers of submitted jobs",
        description="List what `atomforge submit` handed in: state, and the last numbers of each run.",
    )
    parser.add_argument("directory", type=Path, nargs="?", default=DIRECTORY, metavar="DIR", help=f"({DIRECTORY})")


def run(args: argparse.Namespace) -> int:
    """Print a line a run.

    Raises:
        UsageError: no jobs there, or Slurm does not answer.
    """
    from cli.slurm.record import read_submitted
    from cli.slurm.slurm import states

    jobs = read_submitted(args.directory)
    known = states([job.number for job in jobs])
    for job in jobs:
        print(f"{job.number}  {job.name}  {known[job.number]}")
        for place, run_dir in enumerate(job.runs):
            if run_dir is not None:
                number = job.number if len(job.runs) == 1 else f"{job.number}_{place}"
                print(f"  {number}  {run_dir}: {how_far(Path(run_dir))}")
    return 0


def how_far(run_dir: Path) -> str:
    """Say in a few words where a run stands: its last step and numbers, and whether it has reached its end."""
    from lightning_modules.training.run_logger import read_curves

    if not run_dir.exists():
        return "not begun"
    curves = read_curves(run_dir)
    last = {tag: curves[tag][-1] for tag in TAGS if curves.get(tag)}
    step = max((int(point[0]) for point in last.values()), default=None)
    words = [] if step is None else [f"step {step}"]
    words += [f"{tag} {value:.4g}" for tag, (_, value) in last.items()]
    if (run_dir / "checkpoints" / "final.ckpt").exists():
        words.append("finished")
    return ", ".join(words) or "begun"
