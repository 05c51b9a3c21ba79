"""A batch being graded while it still grows: programs start as they are added, verdicts come as they end.

Takes the program out of a completion, has it run, compares on the trusted side, rewards. Equal programs with equal
calls run once; a timeout or a fault of ours is nobody else's verdict, so then each runs for itself. What a reference
program returns on the inputs of a task is made here too, in the sandbox. It starts no sandbox and knows no backend.
"""

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol

from executor.extract import extract_program
from executor.job import TakesRuns, encode_calls
from executor.judge import judge
from executor.rewards import RewardConfig, reward_of
from executor.schema import Execution, Limits, Outcome, Run, Status, Submission, Task, Test, unjudged

REFERENCE_PATIENCE = 3.0
"""Times the limits of a program is what the reference of its task may take."""
_NOT_SHARED = (Status.TIMEOUT, Status.INFRA)

OnOutcome = Callable[[int, Outcome], None]
OnError = Callable[[Exception], None]
"""Called with an error of ours, or of `OnOutcome`: the batch has failed, and some of it will never have an outcome."""
SubmitCheck = Callable[[Task, str, Limits, Callable[[Outcome], None]], Callable[[], None]]
"""Has a program graded by its task's check; returns what cancels that."""


class Grading(Protocol):
    """A batch being graded. A context manager: left early, what has not begun is dropped."""

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
    """One program for all who handed in the same."""

    waiting: list[int] = field(default_factory=list)
    result: Execution | Outcome | None = None


@dataclass
class _Reference:
    """What the reference of a task returned, and the executions that wait for it."""

    waiting: list[tuple[int, Execution]] = field(default_factory=list)
    tests: dict[int, Test] | None = None
    """By position among the inputs; those on which the reference raised are no test."""
    problem: str | None = None


class LocalGrading:
    """`Grading` in this process: through the pool, or pairs of sandboxes where tasks have checks."""

    def __init__(
        self,
        queue: TakesRuns,
        submit_check: SubmitCheck,
        *,
        limits: Limits,
        rewards: RewardConfig | None = None,
        on_result: OnOutcome | None = None,
        on_error: OnError | None = None,
    ):
        self._queue = queue
        self._submit_check = submit_check
        self._limits = limits
        self._rewards = rewards
        self._on_result = on_result
        self._on_error = on_error
        self._submissions: list[Submission] = []
        self._outcomes: dict[int, Outcome] = {}
        self._shared: dict[tuple, _Shared] = {}
        self._references: dict[tuple, _Reference] = {}
        self._reference_of: dict[int, _Reference] = {}
        self._cancel_checks: list[Callable[[], None]] = []
        self._error: BaseException | None = None
        self._changed = threading.Condition(threading.RLock())

    def __enter__(self) -> "LocalGrading":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._queue.cancel()
        for cancel in self._cancel_checks:
            cancel()

    def add(self, submission: Submission) -> int:
        task = submission.task
        run = run_of(submission)
        calls = encode_calls(run)
        key = (
            run.source,
            run.entry_point,
            run.profile,
            calls,
            task.check,
            task.prompt if task.check is not None else None,
        )
        with self._changed:
            index = len(self._submissions)
            self._submissions.append(submission)
            if task.reference is not None:
                self._reference_of[index] = self._ask_reference(task, calls)
            shared = self._shared.get(key)
            if shared is not None and shared.result is not None:
                result = shared.result
            elif shared is not None:
                shared.waiting.append(index)
                return index
            else:
                result = None
                self._shared[key] = _Shared(waiting=[index])
        if result is not None:
            self._conclude(index, result)
        else:
            self._start(task, run, calls, self._share, key, task, run, calls)
        return index

    def outcomes(self) -> list[Outcome]:
        with self._changed:
            self._changed.wait_for(lambda: self._error or len(self._outcomes) == len(self._submissions))
            if self._error is not None:
                raise self._error
            return [self._outcomes[index] for index in range(len(self._submissions))]

    def _start(self, task: Task, run: Run, calls: bytes, method: Callable[..., None], *arguments: object) -> None:
        """Run a program, or have it checked; what comes of it goes to the method, behind the arguments."""
        then = functools.partial(self._guarded, method, *arguments)
        if task.check is None:
            self._queue.put(run, self._limits, then, calls=calls)
        else:
            self._cancel_checks.append(self._submit_check(task, run.source, self._limits, then))

    def _share(self, key: tuple, task: Task, run: Run, calls: bytes, result: Execution | Outcome) -> None:
        """Give a result to all who wait for it, or run the program anew for the others."""
        status = result.failure if isinstance(result, Execution) else result.status
        with self._changed:
            shared = self._shared[key]
            first, *others = shared.waiting
            if status in _NOT_SHARED:
                del self._shared[key]
            else:
                shared.result, shared.waiting = result, []
        self._conclude(first, result)
        for index in others:
            if status in _NOT_SHARED:
                self._start(task, run, calls, self._conclude, index)
            else:
                self._conclude(index, result)

    def _conclude(self, index: int, result: Execution | Outcome) -> None:
        """Turn what came of a program into its outcome, unless its reference is still to answer."""
        task = self._submissions[index].task
        if isinstance(result, Outcome):
            self._finish(index, result)
        elif task.reference is None:
            self._finish(index, judge(task, result))
        else:
            with self._changed:
                reference = self._reference_of[index]
                if reference.tests is None and reference.problem is None:
                    reference.waiting.append((index, result))
                    return
            self._judge_by_reference(index, result, reference)

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
        for index, result in waiting:
            self._judge_by_reference(index, result, reference)

    def _judge_by_reference(self, index: int, execution: Execution, reference: _Reference) -> None:
        task = self._submissions[index].task
        if reference.tests is not None:
            answered = len(execution.results)
            results = tuple(execution.results[position] for position in reference.tests if position < answered)
            task = replace(task, tests=tuple(reference.tests.values()))
            self._finish(index, judge(task, replace(execution, results=results)))
            return
        detail = f"the reference of task {task.task_id} gave no expected values: {reference.problem}"
        self._finish(index, unjudged(detail, num_tests=len(task.inputs)))


def run_of(submission: Submission) -> Run:
    """Make the program of a submission and the calls its tests make; no expected value is in it."""
    task = submission.task
    return Run(
        source=extract_program(submission.completion, task.entry_point, prompt=task.prompt),
        entry_point=task.entry_point,
        calls=task.calls,
        profile=task.profile,
    )
