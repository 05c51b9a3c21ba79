"""`atomforge audit`: recompute the overlaps between the splits of a dataset from its directory alone.

The exit code is 0 if no two splits share anything and no prompt is the reworded prompt of a task, else 1.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from executor.api import BACKENDS

if TYPE_CHECKING:
    from datamodules.synthesis.audit import Audit


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the options of `audit`."""
    parser = subparsers.add_parser(
        "audit",
        help="recompute the overlaps between the splits of a dataset",
        description="Recompute the overlap of each pair of splits by prompt, program, skeleton and behaviour.",
    )
    parser.add_argument("directory", type=Path, help="output of `atomforge synthesize`")
    parser.add_argument("--backend", default="auto", help=f"sandbox of the programs: {', '.join(BACKENDS)} (auto)")
    parser.add_argument("--num-workers", type=int, default=None, help="programs in parallel (default: number of cores)")


def run(args: argparse.Namespace) -> int:
    """Audit and print the table of overlaps.

    Raises:
        ValueError: the directory is not a dataset of `atomforge synthesize`.
    """
    from datamodules.synthesis.audit import audit_dataset, read_splits
    from executor.api import open_executor
    from executor.commands.progress import CountProgress

    splits = read_splits(args.directory)
    num_solutions = len({row["solution"] for rows in splits.values() for row in rows})
    with (
        open_executor(args.backend, num_workers=args.num_workers) as executor,
        CountProgress("programs", num_solutions) as progress,
    ):
        found = audit_dataset(args.directory, executor, on_progress=progress.advance)
    print_audit(found, args.directory)
    return 0 if found.is_clean else 1


def print_audit(found: "Audit", directory: Path) -> None:
    """Print the overlaps of each pair of splits, and the training items contained in test items."""
    from rich.console import Console
    from rich.table import Table

    from datamodules.synthesis.overlap import MEASURES, describe_first_overlap, describe_first_seen_rewording

    table = Table(title=f"shared by pairs of splits of {directory}", title_justify="left")
    table.add_column("splits")
    for measure in MEASURES:
        table.add_column(measure, justify="right")
    for pair, measures in found.overlaps.items():
        table.add_row(pair.replace("synthetic_", ""), *(str(measures[measure]) for measure in MEASURES))
    Console().print(table)
    for split, held in found.containing_training_item.items():
        parts = [f"{number} contain an item of {training}" for training, number in held.items()]
        print(f"{split}: of {found.counts[split]} items, {', '.join(parts)} as a proper part")
    for split in found.changed_splits:
        print(f"{split} is not as it was built: its content differs from the manifest's hash")
    if line := describe_first_seen_rewording(found.seen_rewordings):
        print(f"HELD-OUT WORDING IS SEEN: {line}")
    else:
        print("no prompt is the reworded prompt of a task")
    print("no two splits overlap" if describe_first_overlap(found.overlaps) is None else "SPLITS OVERLAP")
