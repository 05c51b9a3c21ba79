"""A batch being graded while it still grows: programs start as they are added, verdicts come as they end.

Takes the program out of a completion, has it run, compares on the trusted side, rewards. Equal programs with equal
tests run once; a timeout or a fault of ours is nobody else's verdict, so then each runs for itself. What a reference
program returns on the inputs of a task is made here too, in the sandbox. A verdict is kept to the end of the batch,
what a program returned is not. It starts no sandbox and knows no backend.
"""

import functools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol

from executor.grading.extract import extract_program
from executor.grading.outcome import judge
from executor.grading.rewards import RewardConfig, reward_of
from executor.pool.check_queue import TakesChecks
from executor.pool.job import TakesRuns, encode_calls
from executor.types import Execution, Limits, Outcome, Run, Status, Submission, Task, Test, unjudged

REFERENCE_PATIENCE = 3.0
"""Times the limits of a program is what the reference of its task may take."""
_NOT_SHARED = (Status.TIMEOUT, Status.INFRA)

OnOutcome = Callable[[int, Outcome], None]
OnError = Callable[[Exception], None]
"""Called with an error of ours, or of `OnOutcome`: the batch has failed, and some of it will never have an outcome."""


class Grading(Protocol):
    """A batch being graded. A context manager: left early, what has not begun and what is added later is dropped."""

    def add(self, submission: Submission) -> int:
        """Start grading a submission and return its position; never blocks."""
        ...

    def outcomes(self) -> list[Outcome]:
        """Wait for all that was added; one outcome each, in that order."""
        ...

    def __enter__(self) -> "Grading": ...

    def __exit__(self, *_: object) -> None: ...


@dataclass
class _Shared:
    """One program for all who handed in the same. Its verdict is kept, not the values: those may be large."""

    waiting: list[int] = field(default_factory=list)
    outcome: Outcome | None = None


@dataclass
class _Reference:
    """What the reference of a task returned, and what is put in line when it has."""

    waiting: list[Callable[[], None]] = field(default_factory=list)
    tests: dict[int, Test] | None = None
    """By position among the inputs; those on which the reference raised are no test."""
    problem: str | None = None

    @property
    def is_answered(self) -> bool:
        return self.tests is not None or self.problem is not None


@dataclass(frozen=True)
class _Program:
    """A program on its way to a verdict."""

    task: Task
    run: Run
    calls: bytes
    reference: _Reference | None


class LocalGrading:
    """`Grading` in this process: through the pool, or pairs of sandboxes where tasks have checks."""

    def __init__(
        self,
        queue: TakesRuns,
        checks: TakesChecks,
        *,
        limits: Limits,
        rewards: RewardConfig | None = None,
        on_result: OnOutcome | None = None,
        on_error: OnError | None = None,
    ):
        self._queue = queue
        self._checks = checks
        self._limits = limits
        self._rewards = rewards
        self._on_result = on_result
        self._on_error = on_error
        self._num_added = 0
        self._outcomes: dict[int, Outcome] = {}
        self._shared: dict[tuple, _Shared] = {}
        self._references: dict[tuple, _Reference] = {}
        self._error: BaseException | None = None
        self._changed = threading.Condition(threading.RLock())

    def __enter__(self) -> "LocalGrading":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._queue.cancel()
        self._checks.cancel()

    def add(self, submission: Submission) -> int:
        task = submission.task
        extraction = extract_program(submission.completion, task.entry_point, prompt=task.prompt)
        if extraction.problem is not None:
            return self._reject(task, extraction.problem)
        run = run_of(task, extraction.source)
        calls = encode_calls(run)
        key = (run.source, run.entry_point, run.profile, calls, *_basis_of(task))
        with self._changed:
            index = self._num_added
            self._num_added += 1
            reference = None if task.reference is None else self._ask_reference(task, calls)
            shared = self._shared.get(key)
            if shared is not None and shared.outcome is None:
                shared.waiting.append(index)
                return index
            if shared is None:
                self._shared[key] = _Shared(waiting=[index])
        if shared is not None and shared.outcome is not None:
            self._finish(index, shared.outcome)
        else:
            program = _Program(task, run, calls, reference)
            self._start(program, functools.partial(self._share, key, program))
        return index

    def _reject(self, task: Task, problem: str) -> int:
        """Finish a submission that has no program."""
        with self._changed:
            index = self._num_added
            self._num_added += 1
        num_tests = 1 if task.check is not None else len(task.calls)
        self._finish(
            index, Outcome(status=Status.LOAD_ERROR, num_passed=0, num_tests=num_tests, duration_s=0.0, detail=problem)
        )
        return index

    def outcomes(self) -> list[Outcome]:
        with self._changed:
            self._changed.wait_for(lambda: self._error or len(self._outcomes) == self._num_added)
            if self._error is not None:
                raise self._error
            return [self._outcomes[index] for index in range(self._num_added)]

    def _start(self, program: _Program, then: Callable[[Outcome], None]) -> None:
        """Run a program, or have it checked; its verdict goes to `then`. Where there is a reference, it goes first."""
        task, reference = program.task, program.reference
        if task.check is not None:
            self._checks.put(task, program.run.source, self._limits, functools.partial(self._guarded, then))
            return
        if reference is not None:
            with self._changed:
                if not reference.is_answered:
                    reference.waiting.append(functools.partial(self._start, program, then))
                    return
            if reference.tests is None:
                detail = f"the reference of task {task.task_id} gave no expected values: {reference.problem}"
                then(unjudged(detail, num_tests=len(task.inputs)))
                return
        heard = functools.partial(self._guarded, self._judge, program, then)
        self._queue.put(program.run, self._limits, heard, calls=program.calls)

    def _judge(self, program: _Program, then: Callable[[Outcome], None], execution: Execution) -> None:
        task, reference = program.task, program.reference
        if reference is not None and reference.tests is not None:
            answered = len(execution.results)
            results = tuple(execution.results[position] for position in reference.tests if position < answered)
            task = replace(task, tests=tuple(reference.tests.values()))
            execution = replace(execution, results=results)
        then(judge(task, execution))

    def _share(self, key: tuple, program: _Program, outcome: Outcome) -> None:
        """Give a verdict to all who wait for it, or run the program anew for the others."""
        is_shared = outcome.status not in _NOT_SHARED
        with self._changed:
            shared = self._shared[key]
            first, *others = shared.waiting
            if is_shared:
                shared.outcome, shared.waiting = outcome, []
            else:
                del self._shared[key]
        self._finish(first, outcome)
        for index in others:
            if is_shared:
                self._finish(index, outcome)
            else:
                self._start(program, functools.partial(self._finish, index))

    def _guarded(self, method: Callable[..., None], *arguments: object) -> None:
        """Call in the pool's thread; an error, the caller's callback's say, is told and raised by `outcomes`."""
        try:
            method(*arguments)
        except Exception as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()
            if self._on_error is not None:
                self._on_error(error)

    def _finish(self, index: int, outcome: Outcome) -> None:
        if self._rewards is not None:
            outcome = replace(outcome, reward=reward_of(outcome, self._rewards))
        with self._changed:
            self._outcomes[index] = outcome
            self._changed.notify_all()
        if self._on_result is not None:
            self._on_result(index, outcome)

    def _ask_reference(self, task: Task, calls: bytes) -> _Reference:
        """Have the expected values of a task made, once a batch."""
        key = (task.reference, task.entry_point, task.profile, calls)
        if key not in self._references:
            reference = self._references[key] = _Reference()
            assert task.reference is not None
            run = Run(source=task.reference, entry_point=task.entry_point, calls=task.inputs, profile=task.profile)
            then = functools.partial(self._guarded, self._take_reference, reference, task.inputs)
            self._queue.put(run, self._limits.scaled(REFERENCE_PATIENCE), then, calls=calls)
        return self._references[key]

    def _take_reference(self, reference: _Reference, inputs: tuple[list, ...], execution: Execution) -> None:
        results = enumerate(zip(inputs, execution.results, strict=False))
        tests = {
            position: Test(args=args, expected=result.value)
            for position, (args, result) in results
            if result.error is None
        }
        with self._changed:
            if execution.failure is not None or not tests:
                reference.problem = execution.detail or str(execution.failure or execution.results[0].error)
            else:
                reference.tests = tests
            waiting, reference.waiting = reference.waiting, []
        for start in waiting:
            start()


def run_of(task: Task, source: str) -> Run:
    """Build the run of a program: its source and the calls of the tests, without any expected value."""
    return Run(source=source, entry_point=task.entry_point, calls=task.calls, profile=task.profile)


def _basis_of(task: Task) -> tuple:
    """Tell what a program is judged by, beside its calls: with equal ones, equal programs have one verdict."""
    if task.check is not None:
        return "check", task.check, task.prompt
    if task.reference is not None:
        return "reference", task.reference, task.float_tol
    return "tests", json.dumps([test.expected for test in task.tests]), task.float_tol
