"""Grades what calls returned: compares on the trusted side, never inside the sandbox."""

import builtins

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

_STATUS_OF_VALUE_ERROR = {
    OVERSIZED_VALUE: Status.OUTPUT_LIMIT,
    UNSUPPORTED_TYPE: Status.WRONG,
    CHANGED_ARGUMENT: Status.WRONG,
}
"""Errors of calls that returned."""
_STATUS_OF_EXCEPTION = {"MemoryError": Status.MEMORY, "OutOfMemoryError": Status.MEMORY}


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
            detail = f"test {position}: {_describe(task.tests[position], execution.results[position])}"
    return Outcome(
        status=status,
        num_passed=0 if status is Status.INFRA else num_passed,
        num_tests=len(task.tests),
        duration_s=execution.duration_s,
        detail=detail,
        queued_s=execution.queued_s,
    )


def _grade_call(test: Test, result: CallResult, float_tol: float | None) -> Status:
    if result.error in _STATUS_OF_VALUE_ERROR:
        return _STATUS_OF_VALUE_ERROR[result.error]
    if test.raises is not None:
        if result.error is None:
            return Status.WRONG
        is_expected = test.raises == result.error or test.raises in _list_bases(result)
        return Status.PASSED if is_expected else _STATUS_OF_EXCEPTION.get(result.error, Status.EXCEPTION)
    if result.error is not None:
        return _STATUS_OF_EXCEPTION.get(result.error, Status.EXCEPTION)
    equal = values_equal(decode_value(result.value), decode_value(test.expected), float_tol=float_tol)
    return Status.PASSED if equal else Status.WRONG


def _list_bases(result: CallResult) -> tuple[str, ...]:
    """Return the names of the base classes of an exception: as reported, or those of a builtin class."""
    kind = getattr(builtins, result.error or "", None)
    if result.error_bases or not isinstance(kind, type):
        return result.error_bases
    return tuple(base.__name__ for base in kind.__mro__[1:-1])


def _describe(test: Test, result: CallResult) -> str:
    if result.error is not None:
        return result.error
    return "another value than expected" if test.raises is None else f"returned where {test.raises} was expected"
