"""Grades a batch while it still grows: programs start as submissions are added, outcomes arrive as they end.

A submission takes one path: extract the program, run it (calls, standard input or check), compare on the trusted side,
compute the reward. Equal programs with equal tests run once; a timeout or an infra fault is not shared, so then each
runs for itself. Expected values of a task with a reference program are computed in the same sandboxes. The batch keeps
outcomes, not the values that programs returned. It starts no sandbox and knows no backend.
"""

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Protocol, TypeVar

from executor.grading.extract import extract_program
from executor.grading.outcome import grade_execution
from executor.grading.prepare import PreparedTask, prepare_task
from executor.grading.rewards import RewardConfig, compute_reward
from executor.grading.stdin import StdinGrading
from executor.pool.queue import JobQueue
from executor.types import Execution, Limits, Outcome, Run, Status, Submission, Task, Test, TestKind, infra_outcome

REFERENCE_LIMIT_FACTOR = 3.0
"""The reference program of a task may take this many times the limits of a program."""
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
    """A program and the task it is graded against."""

    prepared: PreparedTask
    run: Run

    @property
    def task(self) -> Task:
        return self.prepared.task

    @property
    def calls(self) -> bytes:
        return self.prepared.calls

    @property
    def limits(self) -> Limits:
        return self.prepared.limits


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
        self._prepared: dict[int, PreparedTask] = {}
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
        prepared = self._prepare(task)
        with self._changed:
            index = self._num_added
            self._num_added += 1
            if extraction.problem is not None:
                graded = _resolved(_build_load_error(task, extraction.problem))
            else:
                graded = self._grade_shared(_Program(prepared, prepared.build_run(extraction.source)))
        graded.add_done_callback(functools.partial(self._deliver, index))
        return index

    def outcomes(self) -> list[Outcome]:
        with self._changed:
            self._changed.wait_for(lambda: self._error or len(self._outcomes) == self._num_added)
            if self._error is not None:
                raise self._error
            return [self._outcomes[index] for index in range(self._num_added)]

    def _prepare(self, task: Task) -> PreparedTask:
        prepared = self._prepared.get(id(task))
        if prepared is None:
            prepared = self._prepared[id(task)] = prepare_task(task, self._limits)
        return prepared

    def _grade_shared(self, program: _Program) -> Future[Outcome]:
        """Grade a program, or wait for an equal one that was added before."""
        key = (program.run.source, *program.prepared.key)
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
        key = (task.reference, *program.prepared.key)
        with self._changed:
            if key not in self._references:
                run = program.prepared.build_run(task.reference)
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
                if len(self._outcomes) == self._num_added:
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
