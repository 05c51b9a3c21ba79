"""Run an executor for long, hostile programs among right and wrong ones, and see that nothing grows and nothing drifts.

    python benchmarks/soak.py --output runs/soak [--checks 100000] [--in-process] [--backend docker] [--repeat]
    python benchmarks/soak.py --output runs/kills --checks 10000 --kills 100

Writes samples.csv, soak.svg and verdicts.jsonl into the folder. Two of a hundred programs are hostile (those of
`tests/sandbox/hostile`), the others are right or wrong and their verdict is known. --repeat runs the same programs a
second time and compares: verdicts may differ among timeouts alone, and by less than 0.1 %. --kills ends containers
from outside at random times. The exit code is 1 where anything was not as it should be.
"""

# ruff: noqa: E402

import argparse
import contextlib
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # this folder has an `executor` of its own
sys.path.append(str(ROOT / "tests" / "sandbox"))
from hostile import HOSTILE
from judging import SQUARE

from benchmarks.served import served
from benchmarks.soak_report import Sample, write_csv, write_svg
from benchmarks.watch import Watch, killing
from executor.api import Executor, open_executor
from executor.types import Limits, Outcome, Status, Submission

HOSTILE_SHARE = 0.02
BATCH = 512
MAX_DIFFERENT = 0.001
GROWTH_ALLOWED = {"memory_mib": 64.0, "num_fds": 32, "num_processes": 8, "num_containers": 1}
"""From the second fifth of the samples to the last; up to 25 connections to the engine are kept for later."""
LIMITS = Limits(cpu_time_s=0.5, wall_time_s=1.5)
TASK = SQUARE  # those programs are called as their tests call them
_KNOWN = {
    "passed": "def solve(n):\n    return n * n + 1\n",
    "wrong": "def solve(n):\n    return n * n + 2\n",
    "exception": "def solve(n):\n    return [][n]\n",
    "load_error": "def solve(n)\n    return n\n",
}


def main() -> int:
    """Soak, write, and say what was not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for what is written")
    parser.add_argument("--checks", type=int, default=100_000)
    parser.add_argument("--backend", default="docker", choices=("docker", "bubblewrap"))
    parser.add_argument("--in-process", action="store_true", help="without a service between")
    parser.add_argument("--num-workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeat", action="store_true", help="run it all twice and compare the verdicts")
    parser.add_argument("--kills", type=int, default=0, help="containers to end from outside meanwhile")
    args = parser.parse_args()
    if args.kills and args.backend != "docker":
        parser.error("--kills ends containers: it needs --backend docker")
    args.output.mkdir(parents=True, exist_ok=True)
    programs = make_programs(args.checks, args.seed)
    problems: list[str] = []
    runs = []
    try:
        for number in range(1 + args.repeat):
            outcomes, samples = soak(programs, args)
            write_all(args.output, "" if number == 0 else "_repeated", programs, outcomes, samples)
            problems += problems_of(programs, outcomes, () if args.kills else samples)
            runs.append(outcomes)
    except KeyboardInterrupt:
        print("\ninterrupted; nothing was written of the run that was under way", file=sys.stderr)
        return 130
    if args.repeat:
        problems += differences(programs, *runs)
    for problem in problems[:50]:
        print(f"PROBLEM: {problem}")
    print(f"{len(problems)} problems" if problems else "all as it should be")
    return 1 if problems else 0


def make_programs(num: int, seed: int) -> list[tuple[str, str]]:
    """Draw (what it must come to, source); a hostile one is named instead, by what `hostile` calls it."""
    dice = random.Random(seed)
    names = [*HOSTILE]
    programs = []
    for number in range(num):
        if dice.random() < HOSTILE_SHARE:
            name = dice.choice(names)
            programs.append((name, HOSTILE[name][1]))
        else:
            status = dice.choices([*_KNOWN], [6, 2, 1, 1])[0]
            programs.append((status, f"# {number}\n{_KNOWN[status]}"))
    return programs


def soak(programs: Sequence[tuple[str, str]], args: argparse.Namespace) -> tuple[list[Outcome], list[Sample]]:
    """Grade all programs in batches, as a trainer would, and sample meanwhile."""
    with contextlib.ExitStack() as stack:
        pid = os.getpid()
        if args.in_process:
            executor: Executor = stack.enter_context(open_executor(args.backend, num_workers=args.num_workers))
        else:
            url, pid = stack.enter_context(served(args.backend, num_workers=args.num_workers))
            executor = stack.enter_context(open_executor(url))
        watch = stack.enter_context(Watch(pid, args.backend).running())
        if args.kills:
            stack.enter_context(killing(pid, args.kills, len(programs), watch))
        outcomes: list[Outcome] = []
        for first in range(0, len(programs), BATCH):
            with executor.grading(LIMITS, on_result=lambda index, outcome: watch.count()) as grading:
                for _, source in programs[first : first + BATCH]:
                    grading.add(Submission(task=TASK, completion=f"`````python\n{source}\n`````"))
                outcomes += grading.outcomes()
        watch.sample()
    return outcomes, watch.samples


def is_allowed(expected: str, status: str) -> bool:
    """Whether a program may come to this verdict."""
    if expected in HOSTILE:
        return status not in ("passed", "infra") and (not HOSTILE[expected][0] or status in HOSTILE[expected][0])
    return status == expected


def problems_of(
    programs: Sequence[tuple[str, str]], outcomes: Sequence[Outcome], samples: Sequence[Sample]
) -> list[str]:
    """Say which verdicts are not right, and what grew from the first fifth of the samples to the last."""
    pairs = enumerate(zip(programs, outcomes, strict=True))
    problems = [
        f"program {index} ({expected}) was judged {outcome.status}: {outcome.detail}"
        for index, ((expected, _), outcome) in pairs
        if not is_allowed(expected, outcome.status)
    ]
    fifth = len(samples) // 5
    if fifth:
        for name, room in GROWTH_ALLOWED.items():
            begin = sum(getattr(sample, name) for sample in samples[fifth : 2 * fifth]) / fifth
            end = sum(getattr(sample, name) for sample in samples[-fifth:]) / fifth
            if end > begin + room:
                problems.append(f"{name} grew from {begin:.0f} to {end:.0f}")
    return problems


def differences(programs: Sequence[tuple[str, str]], first: Sequence[Outcome], second: Sequence[Outcome]) -> list[str]:
    """Compare two runs of the same programs."""
    different = [
        index for index, pair in enumerate(zip(first, second, strict=True)) if pair[0].status != pair[1].status
    ]
    print(
        f"{len(different)} of {len(programs)} verdicts differ between the runs ({len(different) / len(programs):.4%})"
    )
    problems = [
        f"program {index} ({programs[index][0]}) was {first[index].status} and then {second[index].status}"
        for index in different
        if Status.TIMEOUT not in (first[index].status, second[index].status)
    ]
    if len(different) >= MAX_DIFFERENT * len(programs) and different:
        problems.append(f"{len(different)} verdicts differ; fewer than {MAX_DIFFERENT:.1%} may")
    return problems


def write_all(
    folder: Path,
    suffix: str,
    programs: Sequence[tuple[str, str]],
    outcomes: Sequence[Outcome],
    samples: Sequence[Sample],
) -> None:
    write_csv(folder / f"samples{suffix}.csv", samples)
    title = f"{len(outcomes)} checks, {HOSTILE_SHARE:.0%} hostile, {samples[-1].seconds:.0f} s"
    write_svg(folder / f"soak{suffix}.svg", samples, title=title)
    with (folder / f"verdicts{suffix}.jsonl").open("w", encoding="utf-8") as file:
        for (expected, _), outcome in zip(programs, outcomes, strict=True):
            file.write(json.dumps({"program": expected, "status": outcome.status, "detail": outcome.detail}) + "\n")
    counts = Counter(str(outcome.status) for outcome in outcomes)
    print(f"{title}: " + ", ".join(f"{count} {status}" for status, count in counts.most_common()))


if __name__ == "__main__":
    sys.exit(main())
