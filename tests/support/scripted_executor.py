"""An executor whose runs and checks end at once, as a function of the program says."""

from concurrent.futures import Future
from types import SimpleNamespace

from executor.grading.grader import LocalGrading
from executor.types import Execution, Outcome, Status


class ScriptedQueue:
    def __init__(self, executor):
        self.executor = executor

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        self.executor.num_cancelled += 1

    def submit(self, run, limits, *, calls=None, is_trusted=False, is_next=False):
        self.executor.submitted.append((run, limits))
        return _resolved(self.executor.run_program(run))

    def submit_check(self, task, program, limits, *, prelude=""):
        self.executor.checked.append((task, program, limits))
        status = self.executor.check_program(task, program)
        return _resolved(Outcome(status=status, num_passed=int(status == "passed"), num_tests=1, duration_s=0.25))


class ScriptedExecutor:
    """An executor of one slot.

    Args:
        run_program: from a run to its execution, or None for a program that never ends.
        check_program: from a task and a program to the status of its check.
    """

    description = "scripted"
    time_factor = 1.0
    is_open = True

    def __init__(self, run_program=lambda run: executed(b""), check_program=lambda task, program: Status.PASSED):
        self.run_program = run_program
        self.check_program = check_program
        self.submitted = []
        self.checked = []
        self.num_cancelled = 0

    def queue(self):
        return ScriptedQueue(self)

    def grading(self, limits, *, rewards=None, on_result=None, on_error=None):
        queue = ScriptedQueue(self)
        return LocalGrading(queue, limits=limits, rewards=rewards, on_result=on_result, on_error=on_error)  # type: ignore[arg-type]

    def open_profile(self, profile):
        raise ValueError(f"profile {profile} does not work here")

    def stats(self):
        return SimpleNamespace(num_slots=1)


def executed(stdout=b"", failure=None, *, exit_code=None, detail=""):
    """Build the execution of a whole program that took half a second."""
    if failure is None:
        exit_code = 0
    return Execution(failure=failure, results=(), stdout=stdout, exit_code=exit_code, duration_s=0.5, detail=detail)


def _resolved(result):
    future: Future = Future()
    if result is not None:
        future.set_result(result)
    return future
