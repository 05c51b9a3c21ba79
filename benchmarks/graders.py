"""Measures stdin tests per second of this executor, a bare fork loop, an interpreter per test, and verl's prime_code.

    python -m benchmarks.graders [--rounds 5] [--programs 40] [--backend bubblewrap] [--verl DIRECTORY]

All programs are correct; each has 10 tests. Times exclude starting sandboxes. DIRECTORY holds an unpacked verl wheel
(`pip download --no-deps verl`, then unzip); without it prime_code is left out. Ratios are taken within a round.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from benchmarks.rounds import Round, build_table, format_spread, run_rounds

NUM_TESTS = 10
BARE, FRESH, OURS, VERL = "bare fork loop", "interpreter per test", "this executor", "verl prime_code"
SOURCE = """\
# {number}
import sys
def main():
    data = sys.stdin.read().split()
    n, values = int(data[0]), list(map(int, data[1:]))
    values.sort()
    print(sum(values[: n // 2]), sum(values[n // 2 :]))
    for value in values[:20]:
        print(value)
main()
"""


def build_tests() -> list[tuple[str, str]]:
    """Return (standard input, expected output) of each test: 200 integers, their half sums, the 20 smallest."""
    tests = []
    for number in range(NUM_TESTS):
        values = [(index * 7919 + number * 104729) % 1009 for index in range(200)]
        ordered = sorted(values)
        lines = [f"{sum(ordered[:100])} {sum(ordered[100:])}", *map(str, ordered[:20])]
        tests.append((f"200\n{' '.join(map(str, values))}\n", "\n".join(lines) + "\n"))
    return tests


def build_sources(num_programs: int) -> list[str]:
    return [SOURCE.format(number=number) for number in range(num_programs)]


def time_bare(num_programs: int, args: argparse.Namespace) -> float:
    """Fork per test, connect a file and a pipe, execute, compare: no sandbox, no limits, no reset."""
    tests = build_tests()
    started = time.perf_counter()
    for source in build_sources(num_programs):
        for stdin, expected in tests:
            assert run_forked(source, stdin.encode()).split() == expected.encode().split()
    return time.perf_counter() - started


def run_forked(source: str, stdin: bytes) -> bytes:
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as file:
        file.write(stdin)
        file.seek(0)
        pid = os.fork()
        if pid == 0:
            os.dup2(file.fileno(), 0)
            os.dup2(writer, 1)
            sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
            exec(compile(source, "main.py", "exec"), {"__name__": "__main__"})
            sys.stdout.flush()
            os._exit(0)
        os.close(writer)
        with open(reader, "rb") as pipe:
            output = pipe.read()
        os.waitpid(pid, 0)
    return output


def time_fresh(num_programs: int, args: argparse.Namespace) -> float:
    """Start an interpreter for each test."""
    tests = build_tests()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for number, source in enumerate(build_sources(num_programs)):
            path = Path(folder, f"{number}.py")
            path.write_text(source)
            for stdin, expected in tests:
                command = [sys.executable, "-I", "-S", str(path)]
                done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)
                assert done.stdout.split() == expected.split()
    return time.perf_counter() - started


def time_ours(num_programs: int, args: argparse.Namespace) -> float:
    """Grade with one worker."""
    from executor import Submission, grade, open_executor, parse_task

    rows = [{"stdin": stdin, "stdout": expected} for stdin, expected in build_tests()]
    task = parse_task({"task_id": "sums", "tests": rows})
    submissions = [Submission(task=task, completion=source) for source in build_sources(num_programs + 2)]
    with open_executor(args.backend, num_workers=1) as executor:
        grade(executor, submissions[num_programs:])
        started = time.perf_counter()
        outcomes = grade(executor, submissions[:num_programs])
        seconds = time.perf_counter() - started
    assert all(outcome.passed for outcome in outcomes), outcomes[0]
    return seconds


def time_verl(num_programs: int, args: argparse.Namespace) -> float:
    """Call prime_code's check_correctness, which forks once per program and redirects standard streams per test."""
    sys.path.insert(0, str(Path(args.verl, "verl/utils/reward_score")))
    from prime_code.utils import check_correctness  # pyright: ignore[reportMissingImports]

    tests = build_tests()
    sample = {"inputs": [stdin for stdin, _ in tests], "outputs": [expected for _, expected in tests]}
    started = time.perf_counter()
    for source in build_sources(num_programs):
        results, _ = check_correctness(sample, source, timeout=10, debug=False)
        assert all(result is True for result in results), results
    return time.perf_counter() - started


GRADERS: dict[str, Callable[[int, argparse.Namespace], float]] = {
    BARE: time_bare,
    FRESH: time_fresh,
    OURS: time_ours,
    VERL: time_verl,
}


def main() -> int:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--programs", type=int, default=40)
    parser.add_argument("--backend", default="bubblewrap")
    parser.add_argument("--verl", help="directory with an unpacked verl wheel")
    parser.add_argument("--grader", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.grader is not None:
        print(json.dumps(GRADERS[args.grader](args.programs, args)))
        return 0
    names = [name for name in GRADERS if name != VERL or args.verl]
    command = [sys.executable, "-m", "benchmarks.graders", "--programs", str(args.programs), "--backend", args.backend]
    command += ["--verl", os.path.abspath(args.verl)] if args.verl else []
    rounds = run_rounds({name: [*command, "--grader", name] for name in names}, args.rounds)
    complete = [found for found in rounds if len(found) == len(names)]
    if complete:
        print(f"{len(complete)} rounds, {args.programs} programs, {NUM_TESTS} stdin tests each, one worker\n")
        print(build_rates_table(names, complete, args.programs * NUM_TESTS))
    return 0 if len(complete) == args.rounds else 1


def build_rates_table(names: Sequence[str], rounds: Sequence[Round], num_tests: int) -> str:
    rows = []
    for name in names:
        rates = [num_tests / seconds[name] for seconds in rounds]
        of_bare = median(seconds[BARE] / seconds[name] for seconds in rounds)
        of_fresh = median(seconds[FRESH] / seconds[name] for seconds in rounds)
        rows.append([name, format_spread(rates), f"{of_bare:.2f}", f"{of_fresh:.1f}"])
    return build_table(["", "tests/s, median (min-max)", f"of the {BARE}", f"times {FRESH}"], rows)


if __name__ == "__main__":
    sys.exit(main())
