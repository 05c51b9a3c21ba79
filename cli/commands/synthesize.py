"""`atomforge synthesize`: build a dataset of composed tasks and write it, with its manifest, to a directory."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cli.config.files import load_config
from executor.api import BACKENDS
from executor.commands.errors import UsageError

if TYPE_CHECKING:
    from datamodules.synthesis import Manifest


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the options of `synthesize`."""
    parser = subparsers.add_parser(
        "synthesize",
        help="build a dataset of composed tasks",
        description="Compose atoms to tasks, run them in the sandbox, and write disjoint splits.",
    )
    parser.add_argument("--config", required=True, help="YAML file, e.g. configs/synthesis_small.yaml")
    parser.add_argument("--output", required=True, type=Path, help="directory to write; it must not exist yet")
    parser.add_argument("--seed", type=int, default=None, help="overrides the seed of the config")
    parser.add_argument("--backend", default="auto", help=f"sandbox of the programs: {', '.join(BACKENDS)} (auto)")
    parser.add_argument("--num-workers", type=int, default=None, help="programs in parallel (default: number of cores)")


def run(args: argparse.Namespace) -> int:
    """Build, write and print a summary; returns 0.

    Raises:
        ValueError: the config or an option is wrong, the output holds something else, or splits overlap.
    """
    from datamodules.synthesis.config import SynthesisConfig

    config = load_config(SynthesisConfig, args.config, {} if args.seed is None else {"seed": args.seed})
    if args.num_workers is not None and args.num_workers < 1:
        raise UsageError(f"--num-workers must be at least 1, not {args.num_workers}")
    from datamodules.synthesis.build import is_built, synthesize
    from executor.commands.progress import CountProgress

    if is_built(args.output, config):
        print(f"{args.output} already holds this dataset; nothing to do")
        return 0
    start = time.monotonic()
    with CountProgress("tasks", config.num_tasks) as progress:
        manifest = synthesize(
            config, args.output, backend=args.backend, num_workers=args.num_workers, on_progress=progress.advance
        )
    _print_summary(manifest, args.output, time.monotonic() - start)
    return 0


def _print_summary(manifest: "Manifest", output: Path, elapsed_s: float) -> None:
    counts = manifest["counts"]
    for name, count in counts.items():
        missing = manifest["missing"].get(name)
        print(f"{name}: {count}" + (f" (the skeletons ended {missing} short of the count)" if missing else ""))
    print("rejected: " + ", ".join(f"{number} {reason}" for reason, number in manifest["rejections"].items()))
    print(f"held-out atoms: {', '.join(manifest['held_out_atoms'])}")
    print("overlap of every two splits by prompt, program, skeleton and behaviour: 0")
    print(f"{sum(counts.values())} tasks in {output} after {elapsed_s:.0f} s")
