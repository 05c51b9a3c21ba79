"""How fast this machine is: a fixed program, run in the sandbox when an executor is opened, sets the limits of time.

Limits are given for the reference machine. Where the program takes twice as long as there, limits are twice as long,
so that a slow machine does not turn right programs into timeouts. A faster machine keeps the limits as they are.
"""

from statistics import median

from executor.types import Execution, Limits, Run

REFERENCE_CPU_S = 0.020
"""Median CPU seconds of the program on the reference machine, a core of a 2.6 GHz server processor of 2023."""
NUM_TRIALS = 5
PATIENT = Limits(cpu_time_s=20.0, wall_time_s=60.0)
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


def calibration_runs() -> list[Run]:
    """Make the programs to run; the first answer is also the proof that the sandbox works."""
    return [Run(source=_SOURCE, entry_point="solve", calls=([1],))] * NUM_TRIALS


def problem_of(execution: Execution) -> str | None:
    """Say what is wrong with the answer of a calibration run; None where it is right."""
    if execution.failure is not None:
        return execution.detail or execution.failure
    [result] = execution.results
    if isinstance(result.value, list) and len(result.value) == 2 and result.value[0] == 42:
        return None
    return f"a program that returns 42 gave {result.error or result.value!r:.80}"


def time_factor_of(executions: list[Execution]) -> float:
    """Return how many times longer than the reference machine this one takes, at least 1.0."""
    seconds = [float(execution.results[0].value[1]) for execution in executions]
    return max(1.0, round(median(seconds) / REFERENCE_CPU_S, 2))
