"""`atomforge doctor`: what works on this machine, and the one line that mends each thing that does not."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from cli.doctor_checks import Finding, Level, examine

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {Level.OK: "green", Level.MISSING: "yellow", Level.BROKEN: "bold red"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="what works on this machine",
        description="Look at what works here, and say the line that mends what does not. Exit code 1 where nothing "
        "can be trained.",
    )
    parser.add_argument("--json", action="store_true", help="a JSON line for each finding")


def run(args: argparse.Namespace) -> int:
    """Print every finding as it is made; 1 where a run on the CPU would not work."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    is_broken = False
    for finding in examine():
        is_broken |= finding.level is Level.BROKEN
        if args.json:
            print(json.dumps(asdict(finding)), flush=True)
        else:
            _show(console, finding)
    return 1 if is_broken else 0


def _show(console: Console, finding: Finding) -> None:
    from rich.markup import escape

    style = _STYLES[finding.level]
    console.print(f"[{style}]{finding.level:<8}[/] {finding.name:<13} {escape(finding.seen)}")
    if finding.mend:
        console.print(f"{'':<22} [bold]{escape(finding.mend)}[/]")
