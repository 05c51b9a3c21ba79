"""`atomforge synthesize`: build a data set of composed tasks and write it, with its manifest, to a directory.

It only reads the command line and shows progress; everything else is `datamodules.synthesis`.
"""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cli.config.files import read_yaml
from executor.api import BACKENDS
from executor.commands.errors import UsageError

if TYPE_CHECKING:
    from datamodules.synthesis import Manifest


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the options of `synthesize`."""
    parser = subparsers.add_parser(
        "synthesize",
        help="build a data set of composed tasks",
        description="Compose atoms to tasks, run them in the sandbox, and write splits that share nothing.",
    )
    parser.add_argument("--config", required=True, help="YAML file, e.g. configs/synthesis_small.yaml")
    parser.add_argument("--output", required=True, type=Path, help="directory to write; it must not exist yet")
    parser.add_argument("--seed", type=int, default=None, help="in place of the config's seed")
    parser.add_argument("--backend", default="auto", help=f"where programs run: {', '.join(BACKENDS)} (auto)")
    parser.add_argument("--num-workers", type=int, default=None, help="programs at the same time (cores)")


def run(args: argparse.Namespace) -> int:
    """Build, write and print what was made.

    Raises:
        ValueError: a wrong config or option, an output that holds something else, or splits that overlap; one line.
    """
    from datamodules.synthesis.config import parse_config

    mapping = read_yaml(args.config)
    if args.seed is not None:
        mapping["seed"] = args.seed
    config = parse_config(mapping, source=str(args.config))
    if args.num_workers is not None and args.num_workers < 1:
        raise UsageError(f"--num-workers must be at least 1, not {args.num_workers}")
    from datamodules.synthesis.build import is_built, synthesize
    from executor.commands.progress import CountProgress

    if is_built(args.output, config):
        print(f"{args.output} already holds this data set; nothing to do")
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
