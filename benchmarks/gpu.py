"""Checks on one GPU that everything holds, in 8 minutes: one table with a verdict per check.

    python -m benchmarks.gpu [--only sft,rollouts] [--output FILE.json]
    python -m benchmarks.gpu --smoke        the same code at toy sizes on a CPU; its numbers mean nothing

Each check has a time budget and a process of its own, so that a failing kernel or a full GPU fails one check only. The
exit code is 1 if a check fails. `vllm` is skipped where that package is not installed. Goals are for one H100 or H200
with bfloat16. It has not been run on a GPU.
"""

import argparse
import json
import platform
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.gpu_checks import FULL, SMOKE, Check, Line
from benchmarks.gpu_checks.compute import check_flex, check_rollouts, check_sft, check_vllm
from benchmarks.gpu_checks.learning import check_learning
from benchmarks.gpu_checks.sandbox import check_sandbox
from benchmarks.rounds import build_table, run_json


class Budgeted(NamedTuple):
    """A check, and how long it may take with the start of its process."""

    check: Check
    budget_s: float


CHECKS = {
    "sft": Budgeted(check_sft, 90),
    "rollouts": Budgeted(check_rollouts, 80),
    "vllm": Budgeted(check_vllm, 100),
    "flex": Budgeted(check_flex, 40),
    "sandbox": Budgeted(check_sandbox, 90),
    "learning": Budgeted(check_learning, 80),
}
assert sum(one.budget_s for one in CHECKS.values()) <= 8 * 60
_VERDICTS = {True: "pass", False: "FAIL", None: ""}


class Result(NamedTuple):
    """The lines of a check, and its duration."""

    lines: list[Line]
    seconds: float

    @property
    def holds(self) -> bool:
        return all(line.holds is not False for line in self.lines)


def run_check(name: str, *, smoke: bool) -> Result:
    """Run a check in this process; an exception is a line that does not hold."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    started_at, lines = time.perf_counter(), []
    try:
        lines += CHECKS[name].check(device, SMOKE if smoke else FULL)
    except Exception as error:
        traceback.print_exc()
        lines.append(Line("ran to its end", f"{type(error).__name__}: {error}".splitlines()[0][:200], False))
    return Result(lines, time.perf_counter() - started_at)


def run_apart(name: str) -> Result:
    """Run a check in a process of its own, which is killed at the end of its time budget."""
    started_at, budget_s = time.perf_counter(), CHECKS[name].budget_s
    try:
        found = run_json([sys.executable, "-m", "benchmarks.gpu", "--one", name], timeout_s=budget_s)
        lines = [Line(*line) for line in found]
    except RuntimeError as error:
        lines = [Line("ran to its end", str(error).splitlines()[-1][:200], False)]
    return Result(lines, time.perf_counter() - started_at)


def format_table(results: dict[str, Result]) -> str:
    """Format all lines, and the verdict and time of each check."""
    rows = []
    for name, result in results.items():
        budget = f"{result.seconds:.0f} of {CHECKS[name].budget_s:g} s"
        rows.append([f"**{name}**", "", budget, f"**{_VERDICTS[result.holds]}**"])
        rows += [["", line.what, line.value, _VERDICTS[line.holds]] for line in result.lines]
    return build_table(["check", "number", "value", "verdict"], rows)


def main(argv: list[str] | None = None) -> int:
    """Run the checks and print the table; returns 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(CHECKS), help="checks, separated by commas")
    parser.add_argument("--smoke", action="store_true", help="toy sizes, also on a CPU")
    parser.add_argument("--output", type=Path, default=None, help="JSON file")
    parser.add_argument("--one", choices=CHECKS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    if not torch.cuda.is_available() and not args.smoke:
        parser.error("no CUDA device; --smoke runs the same code at toy sizes on a CPU")
    if args.one is not None:
        print(json.dumps(run_check(args.one, smoke=args.smoke).lines))
        return 0
    selected = args.only.split(",")
    if unknown := set(selected) - set(CHECKS):
        parser.error(f"--only {min(unknown)!r}: checks are {', '.join(CHECKS)}")
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    results = {check: run_check(check, smoke=True) if args.smoke else run_apart(check) for check in selected}
    print(f"{name}, torch {torch.__version__}\n\n{format_table(results)}")
    failed = [check for check, result in results.items() if not result.holds]
    print(
        f"{len(results) - len(failed)} of {len(results)} checks pass" + (f"; not {', '.join(failed)}" if failed else "")
    )
    if args.output is not None:
        checks = {check: {"passes": one.holds, **one._asdict()} for check, one in results.items()}
        text = json.dumps({"device": name, "torch": torch.__version__, "checks": checks}, indent=1)
        args.output.write_text(text + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
