"""Grades a batch of known verdicts at an address; says each as it comes, and at last what all are.

    python fleet_batch.py URL NUM_PROGRAMS

Lines: `judged INDEX STATUS` and, at the end, `outcomes JSON`; the log of the client goes to standard error.
"""

import json
import logging
import sys

from executor.api import grade, open_executor
from executor.grading.tasks import parse_task
from executor.types import Limits, Status, Submission

TASK = parse_task(
    {"task_id": "add", "entry_point": "add", "tests": [{"args": [n, 2], "expected": n + 2} for n in range(4)]}
)
LIMITS = Limits(cpu_time_s=2.0, wall_time_s=10.0)
BODIES = (
    ("return a + b", Status.PASSED),
    ("return a + b + (a == 3)", Status.WRONG),
    ("return {}[a]", Status.EXCEPTION),
    ("import os; os._exit(0)", Status.CRASH),
)


def completion_of(number: int) -> str:
    """Write a program that differs from all others, and takes 0.2 s."""
    return f"import time\ndef add(a, b):\n    time.sleep(0.05)\n    {BODIES[number % len(BODIES)][0]}\n# {number}\n"


def expected(number: int) -> Status:
    return BODIES[number % len(BODIES)][1]


def main(url: str, num_programs: int) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    submissions = [Submission(task=TASK, completion=completion_of(number)) for number in range(num_programs)]
    with open_executor(url) as executor:
        print("executor", executor.description, flush=True)
        outcomes = grade(
            executor,
            submissions,
            LIMITS,
            lambda index, outcome: print("judged", index, outcome.status.value, flush=True),
        )
    print("outcomes", json.dumps([outcome.status.value for outcome in outcomes]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
