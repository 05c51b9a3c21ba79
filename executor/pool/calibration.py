"""Measures how fast this machine is: a fixed program, run in the sandbox when an executor opens, scales time limits.

Limits are given for the reference machine. If the program takes twice as long here, limits are doubled, so that a slow
machine does not turn correct programs into timeouts. A faster machine keeps the limits as they are.
"""

from statistics import median

from executor.types import Execution, Limits, Run

REFERENCE_CPU_S = 0.020
"""Median CPU seconds of the program on the reference machine, a core of a 2.6 GHz server processor of 2023."""
NUM_TRIALS = 5
STARTUP_LIMITS = Limits(cpu_time_s=20.0, wall_time_s=60.0)
_SOURCE = """\
import time

def solve(number):
    started = time.process_time()
    items, total = {}, 0
    for i in range(95_000):
        key = (i * number) % 1009
        items[key] = items.get(key, 0) + i
        total += len(str(items[key])) ^ key
    words = sorted(items, key=lambda key: items[key])
    return [41 + len(words[:number]), time.process_time() - started]
"""


def build_calibration_runs() -> list[Run]:
    """Build the programs to run; the first result also proves that the sandbox works."""
    return [Run(source=_SOURCE, entry_point="solve", calls=([1],))] * NUM_TRIALS


def find_calibration_error(execution: Execution) -> str | None:
    """Describe what is wrong with the result of a calibration run; None if nothing is."""
    if execution.failure is not None:
        return execution.detail or execution.failure
    [result] = execution.results
    if isinstance(result.value, list) and len(result.value) == 2 and result.value[0] == 42:
        return None
    return f"a program that returns 42 gave {result.error or result.value!r:.80}"


def compute_time_factor(executions: list[Execution]) -> float:
    """Return how many times longer than the reference machine this one takes, at least 1.0."""
    seconds = [float(execution.results[0].value[1]) for execution in executions]
    return max(1.0, round(median(seconds) / REFERENCE_CPU_S, 2))
