"""The bare limit: fork, compile, exec, ten calls, a pipe, waitpid; no sandbox, no limits, no reset.

    python -I -S benchmarks/bare_fork.py NUM_PROGRAMS NUM_WORKERS

Prints JSON: seconds for all, and the seconds of each program of the first worker.
"""

import json
import os
import sys
import time

NUM_CALLS = 10


def check(source: str) -> bool:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        namespace: dict = {}
        exec(compile(source, "<candidate>", "exec"), namespace)
        os.write(writer, json.dumps([namespace["solve"](n) for n in range(NUM_CALLS)]).encode())
        os._exit(0)
    os.close(writer)
    answer = b""
    while chunk := os.read(reader, 65536):
        answer += chunk
    os.close(reader)
    os.waitpid(pid, 0)
    return json.loads(answer) == [n * n + 1 for n in range(NUM_CALLS)]


def check_all(num_programs: int) -> list[float]:
    seconds = []
    for number in range(num_programs):
        started = time.perf_counter()
        assert check(f"# {number}\ndef solve(n):\n    return n * n + 1\n")
        seconds.append(time.perf_counter() - started)
    return seconds


def main() -> None:
    num_programs, num_workers = map(int, sys.argv[1:])
    started = time.perf_counter()
    pids = []
    for _ in range(num_workers - 1):
        pid = os.fork()
        if pid == 0:
            check_all(num_programs // num_workers)
            os._exit(0)
        pids.append(pid)
    lone = check_all(num_programs // num_workers)
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0
    print(json.dumps({"total_s": time.perf_counter() - started, "lone_s": lone}))


try:
    main()
except KeyboardInterrupt:
    sys.exit(130)
