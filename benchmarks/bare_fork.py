"""The upper limit of `benchmarks/executor.py`: fork, compile, exec, ten calls, a pipe, waitpid.

    python -I -S benchmarks/bare_fork.py NUM_PROGRAMS NUM_WORKERS

No sandbox, no limits, no reset, and an interpreter that has loaded nothing. Prints JSON: seconds for all programs, and
the seconds of each program of the first worker.
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
        exec(compile(source, "<program>", "exec"), namespace)
        os.write(writer, json.dumps([namespace["solve"](n) for n in range(NUM_CALLS)]).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        results = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(results) == [n * n + 1 for n in range(NUM_CALLS)]


def check_all(num_programs: int) -> list[float]:
    seconds = []
    for number in range(num_programs):
        started = time.perf_counter()
        assert check(f"# {number}\ndef solve(n):\n    return n * n + 1\n")
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    num_programs, num_workers = map(int, sys.argv[1:])
    started, pids = time.perf_counter(), []
    for _ in range(num_workers - 1):
        pids.append(os.fork())
        if pids[-1] == 0:
            check_all(num_programs // num_workers)
            os._exit(0)
    single_s = check_all(num_programs // num_workers)
    assert all(os.waitpid(pid, 0)[1] == 0 for pid in pids)
    total = num_programs // num_workers * num_workers
    print(json.dumps({"num_programs": total, "total_s": time.perf_counter() - started, "single_s": single_s}))
