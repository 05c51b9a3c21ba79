"""Grades programs for hours, 2 % of them hostile, and reports wrong outcomes, resources that grow, and drift.

    python -m benchmarks.soak --output runs/soak [--checks 100000] [--backend docker] [--repeat]
    python -m benchmarks.soak --output runs/kills --checks 10000 --kills 100

Every 5 seconds it samples the executor's process tree and containers: memory (MiB, shared pages counted once),
descriptors, processes, containers. It writes soak.svg and outcomes.jsonl, of the last grading. Hostile
programs are those of `tests/sandbox/hostile`; the status of the others is known. --repeat grades the same programs
again: statuses may differ among timeouts only, and by less than 0.1 %. --kills kills containers at random times. The
exit code is 1 if there was any problem.
"""

import argparse
import contextlib
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker
import psutil
from matplotlib.figure import Figure

from benchmarks.service import run_service
from executor.api import open_executor
from executor.backends.docker.container import LABEL
from executor.types import Limits, Outcome, Status, Submission
from tests.sandbox.hostile import HOSTILE
from tests.support.judging import SQUARE

SAMPLE_INTERVAL_S = 5.0
HOSTILE_FRACTION = 0.02
BATCH = 512
MAX_DIFFERENT = 0.001
MAX_GROWTH = {"memory_mib": 64.0, "num_fds": 32, "num_processes": 8, "num_containers": 1}
"""From the second fifth of the samples to the last. The Docker client keeps up to 25 connections open."""
LIMITS = Limits(cpu_time_s=0.5, wall_time_s=1.5)
_KNOWN = {
    "passed": "def solve(n):\n    return n * n + 1\n",
    "wrong": "def solve(n):\n    return n * n + 2\n",
    "exception": "def solve(n):\n    return [][n]\n",
    "load_error": "def solve(n)\n    return n\n",
}
Programs = Sequence[tuple[str, str]]
"""(expected status or the name of a hostile program, source)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Resources of the executor's process and of all its descendants at a time."""

    seconds: float
    num_checks: int
    memory_mib: float
    num_fds: int
    num_processes: int
    num_containers: int


class Monitor:
    """Samples the process tree of an executor, and kills a container at each of the numbers of programs `kill_at`."""

    def __init__(self, pid: int, backend: str, kill_at: Sequence[int] = ()) -> None:
        self.samples: list[Sample] = []
        self.num_checks = self.num_killed = 0
        self._pid, self._kill_at = pid, kill_at
        self._started, self._stopped = time.monotonic(), threading.Event()
        self._client = docker.from_env() if backend == "docker" else None

    @contextlib.contextmanager
    def running(self) -> Iterator["Monitor"]:
        threads = [threading.Thread(target=self._sample_loop), threading.Thread(target=self._kill_loop)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()

    def _sample_loop(self) -> None:
        while not self._stopped.wait(SAMPLE_INTERVAL_S):
            with contextlib.suppress(Exception):  # a process or container ended during the sample
                self.sample()

    def _kill_loop(self) -> None:
        while self.num_killed < len(self._kill_at) and not self._stopped.wait(0.005):
            if self.num_checks >= self._kill_at[self.num_killed] and (containers := self._list_containers()):
                with contextlib.suppress(Exception):  # the container has just ended: kill another one
                    random.choice(containers).kill()
                    self.num_killed += 1

    def sample(self) -> None:
        containers = self._list_containers()
        for container in containers:
            container.reload()
        roots = [psutil.Process(pid) for pid in (self._pid, *(c.attrs["State"]["Pid"] for c in containers))]
        tree = {process for root in roots for process in (root, *root.children(recursive=True))}
        self.samples.append(
            Sample(
                seconds=time.monotonic() - self._started,
                num_checks=self.num_checks,
                memory_mib=sum(process.memory_full_info().pss for process in tree) / 2**20,
                num_fds=roots[0].num_fds(),
                num_processes=len(tree),
                num_containers=len(containers),
            )
        )

    def _list_containers(self) -> list:
        if self._client is None:
            return []
        found = self._client.containers.list(filters={"label": LABEL})
        return [container for container in found if container.labels[LABEL].startswith(f"{self._pid}.")]


def draw_programs(num: int, seed: int) -> Programs:
    rng = random.Random(seed)
    programs = []
    for number in range(num):
        if rng.random() < HOSTILE_FRACTION:
            name = rng.choice([*HOSTILE])
            programs.append((name, HOSTILE[name][1]))
        else:
            status = rng.choices([*_KNOWN], [6, 2, 1, 1])[0]
            programs.append((status, f"# {number}\n{_KNOWN[status]}"))
    return programs


def grade_all(programs: Programs, args: argparse.Namespace) -> tuple[list[Outcome], list[Sample]]:
    """Grade all programs over HTTP in batches, as a trainer would, and sample meanwhile."""
    outcomes: list[Outcome] = []
    kill_at = sorted(random.randrange(len(programs)) for _ in range(args.kills))
    with (
        run_service(args.backend, num_workers=2) as (url, pid),
        open_executor(url) as executor,
        Monitor(pid, args.backend, kill_at).running() as monitor,
    ):

        def count(index: int, outcome: Outcome) -> None:
            monitor.num_checks += 1

        for first in range(0, len(programs), BATCH):
            with executor.grading(LIMITS, on_result=count) as grading:
                for _, source in programs[first : first + BATCH]:
                    grading.add(Submission(task=SQUARE, completion=f"`````python\n{source}\n`````"))
                outcomes += grading.outcomes()
        monitor.sample()
    if args.kills:
        print(f"{monitor.num_killed} of {args.kills} containers killed")
    return outcomes, monitor.samples


def is_expected(expected: str, status: str) -> bool:
    if expected in HOSTILE:
        return status not in ("passed", "infra") and (not HOSTILE[expected][0] or status in HOSTILE[expected][0])
    return status == expected


def find_problems(programs: Programs, outcomes: Sequence[Outcome], samples: Sequence[Sample]) -> list[str]:
    """List wrong outcomes, and what grew from the second fifth of the samples to the last."""
    problems = [
        f"program {index} ({expected}) has status {outcome.status}: {outcome.detail}"
        for index, ((expected, _), outcome) in enumerate(zip(programs, outcomes, strict=True))
        if not is_expected(expected, outcome.status)
    ]
    fifth = len(samples) // 5
    for name, growth in MAX_GROWTH.items() if fifth else ():
        begin = sum(getattr(sample, name) for sample in samples[fifth : 2 * fifth]) / fifth
        end = sum(getattr(sample, name) for sample in samples[-fifth:]) / fifth
        if end > begin + growth:
            problems.append(f"{name} grew from {begin:.0f} to {end:.0f}")
    return problems


def find_differences(programs: Programs, first: Sequence[Outcome], second: Sequence[Outcome]) -> list[str]:
    """List the problems with two gradings of the same programs."""
    pairs = enumerate(zip(first, second, strict=True))
    different = [(index, one.status, other.status) for index, (one, other) in pairs if one.status != other.status]
    print(f"{len(different)} of {len(programs)} outcomes differ ({len(different) / len(programs):.4%})")
    problems = [
        f"program {index} ({programs[index][0]}) has status {one}, then {other}"
        for index, one, other in different
        if Status.TIMEOUT not in (one, other)
    ]
    if len(different) >= max(1, MAX_DIFFERENT * len(programs)):
        problems.append(f"{len(different)} outcomes differ; fewer than {MAX_DIFFERENT:.1%} may")
    return problems


def write_results(folder: Path, programs: Programs, outcomes: Sequence[Outcome], samples: Sequence[Sample]) -> None:
    with (folder / "outcomes.jsonl").open("w", encoding="utf-8") as file:
        for (expected, _), outcome in zip(programs, outcomes, strict=True):
            file.write(json.dumps({"program": expected, "status": outcome.status, "detail": outcome.detail}) + "\n")
    figure = Figure(figsize=(8, 7), layout="constrained")
    for axes, name in zip(figure.subplots(len(MAX_GROWTH), sharex=True), MAX_GROWTH, strict=True):
        axes.plot([sample.num_checks for sample in samples], [getattr(sample, name) for sample in samples])
        axes.set_ylabel(name)
        axes.set_ylim(bottom=0)
    figure.supxlabel("graded programs")
    figure.savefig(folder / "soak.svg")
    counts = Counter(str(outcome.status) for outcome in outcomes)
    print(
        f"{len(outcomes)} programs, {samples[-1].seconds:.0f} s: "
        + ", ".join(f"{n} {s}" for s, n in counts.most_common())
    )


def main() -> int:
    """Grade, write the results, and print the problems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--checks", type=int, default=100_000, help="programs to grade")
    parser.add_argument("--backend", default="docker", choices=("docker", "bubblewrap"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeat", action="store_true", help="grade everything twice and compare")
    parser.add_argument("--kills", type=int, default=0, help="containers to kill meanwhile")
    args = parser.parse_args()
    if args.kills and args.backend != "docker":
        parser.error("--kills needs --backend docker: it kills containers")
    args.output.mkdir(parents=True, exist_ok=True)
    programs, problems, runs = draw_programs(args.checks, args.seed), [], []
    try:
        for _ in range(1 + args.repeat):
            outcomes, samples = grade_all(programs, args)
            write_results(args.output, programs, outcomes, samples)
            problems += find_problems(programs, outcomes, () if args.kills else samples)
            runs.append(outcomes)
    except KeyboardInterrupt:
        print("\ninterrupted; the results of the current run are not written", file=sys.stderr)
        return 130
    if args.repeat:
        problems += find_differences(programs, *runs)
    for problem in problems[:50]:
        print(f"PROBLEM: {problem}")
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
