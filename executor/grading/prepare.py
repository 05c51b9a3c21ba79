"""Prepares what all programs of a task share: the run, its encoded calls, the limits, and a key. Runs nothing."""

import json
from dataclasses import dataclass, replace
from typing import Any

from executor.grading.tasks.library import select_from_library
from executor.grading.tasks.preludes import expand_prelude
from executor.grading.tasks.tests import count_expected_bytes
from executor.pool.queue import encode_calls
from executor.types import Limits, Run, Task, TestKind

WALL_TIME_FACTOR = 3.0
"""Wall time per second of a task's own time limit, which is CPU time."""
OUTPUT_SLACK_BYTES = 64 << 10
"""Output allowed beyond twice the expected one."""


@dataclass(frozen=True)
class PreparedTask:
    """A task and what its programs have in common."""

    task: Task
    run: Run
    """Without the source of a program."""
    calls: bytes
    """Encoded."""
    limits: Limits
    """Those of the batch, changed by the task's own."""
    key: tuple
    """Programs with equal sources and equal keys have equal outcomes."""

    def build_run(self, source: str) -> Run:
        """Build the run of a program: the prelude, the names it uses from the task's library, and its source."""
        if not self.task.library:
            return replace(self.run, source=source)
        library = select_from_library(self.task.library, source)
        prelude = f"{self.run.prelude}\n\n{library}" if self.run.prelude and library else self.run.prelude or library
        return replace(self.run, source=source, prelude=prelude)


def prepare_task(task: Task, limits: Limits) -> PreparedTask:
    """Prepare a task.

    Args:
        task: the task.
        limits: of the batch.
    """
    limits = _adjust_limits(task, limits)
    run = Run(
        source="",
        entry_point=task.entry_point,
        calls=task.calls,
        prelude=expand_prelude(task.prelude),
        profile=task.profile,
    )
    calls = encode_calls(run)
    return PreparedTask(task, run, calls, limits, _build_key(task, run, calls, limits))


def _build_key(task: Task, run: Run, calls: bytes, limits: Limits) -> tuple:
    library = None if task.library is None else id(task.library)  # the task keeps it alive
    key = (run.entry_point, run.profile, run.prelude, library, calls, limits)
    if task.check is not None:
        return *key, "check", task.check, task.prompt
    if task.reference is not None:
        return *key, "reference", task.reference, task.float_tol
    if task.stdin_tests:
        return *key, "stdin", task.stdin_tests, task.float_tol, task.checker
    expected = json.dumps([test.raises or [test.expected] for test in task.tests])
    return *key, "tests", expected, task.float_tol


def _adjust_limits(task: Task, limits: Limits) -> Limits:
    """Apply a task's own limits. A time limit holds for each stdin test, and for all calls of a program together."""
    changes: dict[str, Any] = {}
    if task.time_limit_s is not None:
        num_shared = 1 if task.kind is TestKind.STDIN else max(1, task.num_tests)
        changes["cpu_time_s"] = task.time_limit_s * num_shared
        changes["wall_time_s"] = task.time_limit_s * num_shared * WALL_TIME_FACTOR
    if task.memory_mib is not None:
        changes["memory_bytes"] = task.memory_mib << 20
    needed = 2 * count_expected_bytes(task.stdin_tests or task.tests) + OUTPUT_SLACK_BYTES
    if needed > limits.output_bytes:
        changes["output_bytes"] = needed
    return replace(limits, **changes) if changes else limits
