"""Grades an execution: compares on the trusted side, never inside the sandbox."""

from executor.grading.compare import values_equal
from executor.sandbox.codec import decode_value
from executor.types import (
    CHANGED_ARGUMENT,
    OVERSIZED_VALUE,
    UNSUPPORTED_TYPE,
    CallResult,
    Execution,
    Outcome,
    Status,
    Task,
    Test,
)

_STATUS_OF_ERROR = {
    "MemoryError": Status.MEMORY,
    "OutOfMemoryError": Status.MEMORY,
    OVERSIZED_VALUE: Status.OUTPUT_LIMIT,
    UNSUPPORTED_TYPE: Status.WRONG,
    CHANGED_ARGUMENT: Status.WRONG,
}


def grade_execution(task: Task, execution: Execution) -> Outcome:
    """Return the outcome of a program: its failure as a whole, else that of its first failed test, else passed."""
    statuses = [
        _grade_call(test, result, task.float_tol)
        for test, result in zip(task.tests, execution.results, strict=False)  # a failed program answers fewer
    ]
    num_passed = statuses.count(Status.PASSED)
    detail = execution.detail
    if execution.failure is not None:
        status = execution.failure
    elif len(statuses) < len(task.tests) or not statuses:
        status, detail = Status.CRASH, "not every call was answered"
    else:
        status = next((status for status in statuses if status is not Status.PASSED), Status.PASSED)
        if status is not Status.PASSED:
            position = next(i for i, found in enumerate(statuses) if found is not Status.PASSED)
            error = execution.results[position].error
            detail = f"test {position}: {error or 'another value than expected'}"
    return Outcome(
        status=status,
        num_passed=0 if status is Status.INFRA else num_passed,
        num_tests=len(task.tests),
        duration_s=execution.duration_s,
        detail=detail,
        queued_s=execution.queued_s,
    )


def _grade_call(test: Test, result: CallResult, float_tol: float | None) -> Status:
    if result.error is not None:
        return _STATUS_OF_ERROR.get(result.error, Status.EXCEPTION)
    equal = values_equal(decode_value(result.value), decode_value(test.expected), float_tol=float_tol)
    return Status.PASSED if equal else Status.WRONG
