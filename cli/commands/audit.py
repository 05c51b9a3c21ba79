"""`atomforge audit`: recompute what keeps the splits of a data set apart, from its directory alone.

Exit code 0 when every two splits share nothing and no prompt is the reworded prompt of a task, else 1.
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
        help="recompute the overlaps between the splits of a data set",
        description="Recompute the overlap of every two splits by prompt, program, skeleton and behaviour.",
    )
    parser.add_argument("directory", type=Path, help="written by `atomforge synthesize`")
    parser.add_argument("--backend", default="auto", help=f"where programs run: {', '.join(BACKENDS)} (auto)")
    parser.add_argument("--num-workers", type=int, default=None, help="programs at the same time (cores)")


def run(args: argparse.Namespace) -> int:
    """Audit and print the table of overlaps.

    Raises:
        ValueError: the directory is not a data set of ours; one line.
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
    """Print the overlaps of every two splits, and what test items hold of training items."""
    from rich.console import Console
    from rich.table import Table

    from datamodules.synthesis.overlap import MEASURES, describe_first_overlap, describe_first_seen_rewording

    table = Table(title=f"shared by two splits of {directory}", title_justify="left")
    table.add_column("splits")
    for measure in MEASURES:
        table.add_column(measure, justify="right")
    for pair, measures in found.overlaps.items():
        table.add_row(pair.replace("synthetic_", ""), *(str(measures[measure]) for measure in MEASURES))
    Console().print(table)
    for split, held in found.containing_training_item.items():
        parts = [f"{number} an item of {training}" for training, number in held.items()]
        print(f"{split}: of {found.counts[split]} items hold {', '.join(parts)} as a proper part")
    for split in found.changed_splits:
        print(f"{split} is not as it was built: its content differs from the manifest's hash")
    if line := describe_first_seen_rewording(found.seen_rewordings):
        print(f"HELD-OUT WORDING IS SEEN: {line}")
    else:
        print("no prompt is the reworded prompt of a task")
    print("every two splits are apart" if describe_first_overlap(found.overlaps) is None else "SPLITS OVERLAP")
