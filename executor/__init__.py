"""Runs untrusted programs in sandboxes and grades what they return.

from executor import Submission, grade, open_executor, parse_task

task = parse_task({"task_id": "add", "entry_point": "add", "tests": [{"args": [1, 2], "expected": 3}]})
with open_executor() as executor:
    [outcome] = grade(executor, [Submission(task=task, completion="def add(a, b): return a + b")])
assert outcome.passed
"""

from executor.api import BACKENDS, Executor, grade, open_executor
from executor.grading.rewards import RewardConfig
from executor.grading.tasks import parse_task
from executor.types import Limits, Outcome, Reward, Status, Submission, Task, Test

__all__ = [
    "BACKENDS",
    "Executor",
    "Limits",
    "Outcome",
    "Reward",
    "RewardConfig",
    "Status",
    "Submission",
    "Task",
    "Test",
    "grade",
    "open_executor",
    "parse_task",
]
