"""The face of the executor: one small protocol, a way to open one, and grading. All the rest is behind it."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import Protocol

from executor.backends.bubblewrap import BubblewrapBackend
from executor.backends.process import ProcessBackend
from executor.extract import extract_program
from executor.judge import judge
from executor.pool import SandboxPool
from executor.schema import DEFAULT_LIMITS, Execution, Limits, Outcome, Run, Submission

BACKENDS = ("auto", "bubblewrap", "process")
_log = logging.getLogger(__name__)


class Executor(Protocol):
    """Runs programs. A context manager; `close` ends what it started."""

    @property
    def description(self) -> str:
        """One line: what runs the programs, and what it does not protect."""
        ...

    def run(
        self,
        runs: Sequence[Run],
        limits: Limits = ...,
        on_result: Callable[[int, Execution], None] | None = None,
    ) -> list[Execution]:
        """One execution for each run, in their order; `on_result` gets (position, execution) as each one ends."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> "Executor": ...

    def __exit__(self, *_: object) -> None: ...


def open_executor(backend: str = "auto", *, num_workers: int | None = None, hash_seed: int = 0) -> SandboxPool:
    """Open an executor and prove that it runs a program.

    Args:
        backend: `bubblewrap`; `process`, which protects nothing; or `auto`, the best that works, never `process`.
        num_workers: programs at the same time; default: the cores this process may use.
        hash_seed: PYTHONHASHSEED of the programs, 0 to 4294967295.

    Raises:
        ValueError: no such backend, or it does not work here; one line that says why.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    if not 0 <= hash_seed < 1 << 32:
        raise ValueError(f"hash_seed must be within 0 and 4294967295, not {hash_seed}")
    workers = len(os.sched_getaffinity(0)) if num_workers is None else num_workers
    if backend == "process":
        pool = SandboxPool(ProcessBackend(hash_seed=hash_seed), num_workers=workers)
        _log.warning("executor: %s", pool.description)
    else:
        try:
            pool = SandboxPool(BubblewrapBackend(hash_seed=hash_seed), num_workers=workers)
        except ValueError as error:
            advice = "; `process` runs without a sandbox and must be named" if backend == "auto" else ""
            raise ValueError(f"no sandbox: {error}{advice}") from None
        _log.info("executor: %s%s", pool.description, " (auto: the only sandbox there is)" * (backend == "auto"))
    problem = _probe(pool)
    if problem is not None:
        pool.close()
        raise ValueError(f"the backend {pool.backend_name} does not work here: {problem}")
    return pool


def _probe(pool: SandboxPool) -> str | None:
    """Run a program for which there is one right answer; why it did not work, or None."""
    run = Run(source="def solve(x):\n    return x + 1\n", entry_point="solve", calls=([41],))
    [execution] = pool.run([run], Limits(wall_time_s=60.0, cpu_time_s=20.0))
    if execution.failure is None and execution.results[0].value == 42:
        return None
    return pool.last_loss or execution.detail or "a program that adds one gave no 42"


def grade(
    executor: Executor,
    submissions: Sequence[Submission],
    limits: Limits = DEFAULT_LIMITS,
    on_result: Callable[[int, Outcome], None] | None = None,
) -> list[Outcome]:
    """Take the programs out of completions, run them on the inputs of their tests, and judge what they returned.

    Args:
        executor: runs the programs; it never sees an expected value.
        submissions: completions with their tasks.
        limits: hold for each program.
        on_result: called with (position in `submissions`, outcome) as each one ends.

    Returns:
        One outcome for each submission, in their order.
    """
    outcomes: dict[int, Outcome] = {}

    def take(index: int, execution: Execution) -> None:
        outcomes[index] = judge(submissions[index].task, execution)
        if on_result is not None:
            on_result(index, outcomes[index])

    executor.run([run_of(submission) for submission in submissions], limits, take)
    return [outcomes[index] for index in range(len(submissions))]


def run_of(submission: Submission) -> Run:
    """Make the program of a submission and the calls its tests make; no expected value is in it."""
    task = submission.task
    return Run(
        source=extract_program(submission.completion, task.entry_point, prompt=task.prompt),
        entry_point=task.entry_point,
        calls=tuple(test.args for test in task.tests),
    )
