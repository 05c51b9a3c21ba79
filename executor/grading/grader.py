"""Grades a batch while it still grows: programs start as submissions are added, outcomes arrive as they end.

A submission takes one path: extract the program, run it (calls, standard input or check), compare on the trusted side,
compute the reward. Equal programs with equal tests run once; a timeout or an infra fault is not shared, so then each
runs for itself. Expected values of a task with a reference program are computed in the same sandboxes. The batch keeps
outcomes, not the values that programs returned. It starts no sandbox and knows no backend.
"""

import functools
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Protocol, TypeVar

from executor.grading.extract import extract_program
from executor.grading.outcome import grade_execution
from executor.grading.rewards import RewardConfig, compute_reward
from executor.grading.stdin import StdinGrading
from executor.grading.tasks.library import select_from_library
from executor.grading.tasks.preludes import expand_prelude
from executor.grading.tasks.tests import count_expected_bytes
from executor.pool.queue import JobQueue, encode_calls
from executor.types import Execution, Limits, Outcome, Run, Status, Submission, Task, Test, TestKind, infra_outcome

REFERENCE_LIMIT_FACTOR = 3.0
"""The reference program of a task may take this many times the limits of a program."""
WALL_TIME_FACTOR = 3.0
"""Wall time per second of a task's own time limit, which is CPU time."""
OUTPUT_SLACK_BYTES = 64 << 10
"""Output allowed beyond twice the expected one."""
_NOT_SHARED = (Status.TIMEOUT, Status.INFRA)

OnOutcome = Callable[[int, Outcome], None]
OnError = Callable[[Exception], None]
"""Called with an internal error or one of `OnOutcome`: the batch has failed, and some outcomes will never arrive."""
Value = TypeVar("Value")
Mapped = TypeVar("Mapped")


class Grading(Protocol):
    """A batch being graded. A context manager: on early exit, submissions that have not started are dropped."""

    def add(self, submission: Submission) -> int:
        """Start grading a submission and return its position; never blocks."""
        ...

    def outcomes(self) -> list[Outcome]:
        """Wait for all submissions added so far; return one outcome each, in their order."""
        ...

    def __enter__(self) -> "Grading": ...

    def __exit__(self, *_: object) -> None: ...


@dataclass(frozen=True)
class _Program:
    """A program, its encoded calls, and the task it is graded against."""

    task: Task
    run: Run
    calls: bytes
    limits: Limits


@dataclass(frozen=True)
class _Reference:
    """The tests made from what a task's reference program returned; `problem` if there are none."""

    tests: dict[int, Test]
    """By position among the inputs; inputs on which the reference raised make no test."""
    problem: str | None = None


class LocalGrading:
    """`Grading` in this process, through the pools of a `LocalExecutor`."""

    def __init__(
        self,
        queue: JobQueue,
        *,
        limits: Limits,
        rewards: RewardConfig | None = None,
        on_result: OnOutcome | None = None,
        on_error: OnError | None = None,
    ):
        self._queue = queue
        self._limits = limits
        self._rewards = rewards
        self._on_result = on_result
        self._on_error = on_error
        self._num_added = 0
        self._outcomes: dict[int, Outcome] = {}
        self._first: dict[tuple, Future[Outcome]] = {}
        """Of equal programs, the one that was added first."""
        self._references: dict[tuple, Future[_Reference]] = {}
        self._task_limits: dict[int, tuple[Task, Limits]] = {}
        """By the identity of a task, which lives as long as its entry."""
        self._error: BaseException | None = None
        self._changed = threading.Condition(threading.RLock())

    def __enter__(self) -> "LocalGrading":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._queue.cancel()

    def add(self, submission: Submission) -> int:
        task = submission.task
        extraction = extract_program(submission.completion, task.entry_point or None, prompt=task.prompt)
        program = self._build_program(task, extraction.source) if extraction.problem is None else None
        with self._changed:
            index = self._num_added
            self._num_added += 1
            if program is None:
                graded = _resolved(_build_load_error(task, extraction.problem or ""))
            else:
                graded = self._grade_shared(program)
        graded.add_done_callback(functools.partial(self._deliver, index))
        return index

    def outcomes(self) -> list[Outcome]:
        with self._changed:
            self._changed.wait_for(lambda: self._error or len(self._outcomes) == self._num_added)
            if self._error is not None:
                raise self._error
            return [self._outcomes[index] for index in range(self._num_added)]

    def _build_program(self, task: Task, source: str) -> _Program:
        run = Run(
            source=source,
            entry_point=task.entry_point,
            calls=task.calls,
            prelude=_build_prelude(task, source),
            profile=task.profile,
        )
        return _Program(task, run, encode_calls(run), self._find_limits(task))

    def _find_limits(self, task: Task) -> Limits:
        """Return the limits of a task's programs: those of the batch, changed by its own."""
        known = self._task_limits.get(id(task))
        if known is None:
            known = self._task_limits[id(task)] = (task, _adjust_limits(task, self._limits))
        return known[1]

    def _grade_shared(self, program: _Program) -> Future[Outcome]:
        """Grade a program, or wait for an equal one that was added before."""
        key = _build_dedup_key(program)
        if key not in self._first:
            self._first[key] = self._grade(program)
            return self._first[key]
        return _chain(
            self._first[key], lambda outcome: self._grade(program) if outcome.status in _NOT_SHARED else outcome
        )

    def _grade(self, program: _Program) -> Future[Outcome]:
        task = program.task
        if task.check is not None:
            return self._queue.submit_check(task, program.run.source, program.limits, prelude=program.run.prelude)
        if task.kind is TestKind.STDIN:
            return StdinGrading(self._queue, task, program.run, program.limits).start()
        if task.reference is not None:
            return _chain(self._run_reference(program), functools.partial(self._grade_against, program))
        execution = self._queue.submit(program.run, program.limits, calls=program.calls)
        return _chain(execution, functools.partial(grade_execution, task))

    def _grade_against(self, program: _Program, reference: _Reference) -> Outcome | Future[Outcome]:
        """Grade a program by the values of its task's reference."""
        task = program.task
        if reference.problem is not None:
            detail = f"the reference of task {task.task_id} gave no expected values: {reference.problem}"
            return infra_outcome(detail, num_tests=len(task.inputs))
        execution = self._queue.submit(program.run, program.limits, calls=program.calls)
        return _chain(execution, functools.partial(_grade_by_reference, task, reference))

    def _run_reference(self, program: _Program) -> Future[_Reference]:
        """Compute the expected values of a task, once per batch."""
        task = program.task
        assert task.reference is not None
        prelude = _build_prelude(task, task.reference)
        key = (task.reference, task.entry_point, prelude, task.profile, program.limits, program.calls)
        with self._changed:
            if key not in self._references:
                run = replace(program.run, source=task.reference, prelude=prelude)
                limits = program.limits.scaled(REFERENCE_LIMIT_FACTOR)
                execution = self._queue.submit(run, limits, calls=program.calls)
                self._references[key] = _chain(execution, functools.partial(_build_reference, task.inputs))
            return self._references[key]

    def _deliver(self, index: int, graded: Future[Outcome]) -> None:
        """Store and report an outcome; an error, also one of the caller's callback, is raised by `outcomes`."""
        if graded.cancelled():
            return
        try:
            outcome = graded.result()
            if self._rewards is not None:
                outcome = replace(outcome, reward=compute_reward(outcome, self._rewards))
            with self._changed:
                self._outcomes[index] = outcome
                self._changed.notify_all()
            if self._on_result is not None:
                self._on_result(index, outcome)
        except Exception as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()
            if self._on_error is not None:
                self._on_error(error)


def _chain(source: Future[Value], function: Callable[[Value], Mapped | Future[Mapped]]) -> Future[Mapped]:
    """Return a future of `function(source.result())`; a future that it returns is waited for, never blocking."""
    target: Future[Mapped] = Future()

    def settle(done: Future[Any], read: Callable[[Future[Any]], Any]) -> None:
        if done.cancelled():
            target.cancel()
            return
        try:
            result = read(done)
        except Exception as error:
            target.set_exception(error)
            return
        if isinstance(result, Future):
            result.add_done_callback(lambda inner: settle(inner, Future.result))
        else:
            target.set_result(result)

    # The callback does not refer to `source`: in a cycle, what a program returned would outlive its outcome.
    source.add_done_callback(lambda done: settle(done, lambda done: function(done.result())))
    return target


def _resolved(outcome: Outcome) -> Future[Outcome]:
    future: Future[Outcome] = Future()
    future.set_result(outcome)
    return future


def _build_load_error(task: Task, detail: str) -> Outcome:
    return Outcome(status=Status.LOAD_ERROR, num_passed=0, num_tests=task.num_tests, duration_s=0.0, detail=detail)


def _build_prelude(task: Task, source: str) -> str:
    """Build what runs before a program: the prelude of its task, then what the program names of its library."""
    prelude = expand_prelude(task.prelude)
    if not task.library:
        return prelude
    library = select_from_library(task.library, source)
    return f"{prelude}\n\n{library}" if prelude and library else prelude or library


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


def _build_dedup_key(program: _Program) -> tuple:
    """Return what decides an outcome: programs with equal keys have equal outcomes."""
    task, run = program.task, program.run
    key = (run.source, run.entry_point, run.profile, run.prelude, program.calls, program.limits)
    if task.check is not None:
        return *key, "check", task.check, task.prompt
    if task.reference is not None:
        return *key, "reference", task.reference, task.float_tol
    if task.stdin_tests:
        return *key, "stdin", task.stdin_tests, task.float_tol, task.checker
    expected = json.dumps([test.raises or [test.expected] for test in task.tests])
    return *key, "tests", expected, task.float_tol


def _build_reference(inputs: tuple[list, ...], execution: Execution) -> _Reference:
    results = enumerate(zip(inputs, execution.results, strict=False))
    tests = {
        position: Test(args=args, expected=result.value) for position, (args, result) in results if result.error is None
    }
    if execution.failure is not None or not tests:
        problem = execution.detail or str(execution.failure or execution.results[0].error)
        return _Reference({}, problem)
    return _Reference(tests)


def _grade_by_reference(task: Task, reference: _Reference, execution: Execution) -> Outcome:
    num_answered = len(execution.results)
    results = tuple(execution.results[position] for position in reference.tests if position < num_answered)
    return grade_execution(replace(task, tests=tuple(reference.tests.values())), replace(execution, results=results))
