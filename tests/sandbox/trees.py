"""Programs of several processes, and one that looks for what measures them; run by itself it prints what they did."""

import json

from executor.api import open_executor
from executor.types import Limits, Run

CPU_LIMIT = Limits(cpu_time_s=0.5, wall_time_s=20.0)
PATIENT = Limits(cpu_time_s=10.0, wall_time_s=30.0)
SPREAD = """
import os, time
def solve():
    for _ in range(3):
        if os.fork() == 0:
            while True: pass
    time.sleep(15)
"""
RELAYED = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so no parent's sum has them
def solve():
    end = time.monotonic() + 15
    while time.monotonic() < end:
        try:
            child = os.fork()
        except BlockingIOError:  # on a busy machine they end late, and only so many may live at a time
            child = None
        if child == 0:
            stop = time.process_time() + 0.1
            while time.process_time() < stop: pass
            os._exit(0)
        time.sleep(0.11)
"""
WAITED_FOR = """
import os, time
def solve():
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            stop = time.process_time() + 0.05
            while time.process_time() < stop: pass
            os._exit(0)
        os.waitpid(pid, 0)
    return True
"""
SNOOP = """
import os
def attempt(what, *args):
    try: return [str(what(*args))[:40]]
    except OSError: return []
def solve():
    found = []
    for proc in ("/private/proc", "/proc", "/private", "/private/proc/self/root/private/proc"):
        found += attempt(os.listdir, proc) + attempt(os.chmod, proc, 0o777) + attempt(os.rename, proc, "/tmp/x")
        found += attempt(os.rmdir, proc)
        for pid in ("1", "self", str(os.getpid())):
            for name in ("mem", "environ", "maps", "fd", "fd/0", "fd/3", "root", "cwd", "stat", "oom_score_adj", "ns"):
                path = f"{proc}/{pid}/{name}"
                found += attempt(os.open, path, os.O_RDONLY) + attempt(os.open, path, os.O_WRONLY)
                found += attempt(os.open, path, os.O_RDWR) + attempt(os.readlink, path) + attempt(os.listdir, path)
    for fd in range(5, 4096):
        found += attempt(os.fstat, fd)
    return found
"""


def run(executor, source, limits):
    [execution] = executor.run([Run(source=source, entry_point="solve", calls=([],))], limits)
    return execution


def main():
    with open_executor("bubblewrap", num_workers=1) as executor:
        spread = [run(executor, source, CPU_LIMIT) for source in (SPREAD, RELAYED)]
        report = {
            "description": executor.description,
            "found": run(executor, SNOOP, PATIENT).results[0].value,
            "failures": [execution.failure for execution in spread],
            "durations": [execution.duration_s for execution in spread],
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
