"""The tests of a task row: calls, runs with standard input, and the inputs of a reference. Tests are counted from 0.

It checks and prepares values (`executor.grading.tasks.values`); it does not know the other keys of a row.
"""

import builtins
import difflib
import json
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from executor.grading.compare import stdout_equal, values_equal
from executor.grading.tasks.values import parse_row_json, prepare_value, show
from executor.sandbox.codec import decode_value
from executor.types import StdinTest, Test

_CALL_KEYS = ("args", "kwargs", "expected", "raises", "result")
_STDIN_KEYS = ("stdin", "stdout")
_RESULT = re.compile(r"args\.(0|[1-9][0-9]{0,5})", re.ASCII)


def parse_tests(tests: Any) -> tuple[tuple[Test, ...], tuple[StdinTest, ...]]:
    """Check the tests of a task, given as a list or as its JSON text; returns calls and stdin tests, one of them empty.

    Raises:
        ValueError: one line naming the test and what is wrong with it.
    """
    rows = parse_row_json(tests) if isinstance(tests, str) else tests
    if not isinstance(rows, list | tuple) or not rows:
        raise ValueError(
            'tests must be a list of at least one {"args": [...], "expected": ...} or {"stdin": ..., "stdout": ...}, '
            f"not {show(rows)}"
        )
    is_stdin = isinstance(rows[0], Mapping) and any(key in rows[0] for key in _STDIN_KEYS)
    parse, known, others = (
        (_parse_stdin_test, _STDIN_KEYS, _CALL_KEYS) if is_stdin else (_parse_call, _CALL_KEYS, _STDIN_KEYS)
    )
    parsed = []
    for position, row in enumerate(rows):
        try:
            _check_keys(row, known, others)
            parsed.append(parse(row))
        except ValueError as error:
            raise ValueError(f"test {position}: {error}") from None
    return ((), tuple(parsed)) if is_stdin else (tuple(parsed), ())


def parse_inputs(inputs: Any) -> tuple[list, ...]:
    """Check the inputs of a reference, lists of tagged arguments.

    Raises:
        ValueError: one line naming the input and what is wrong with it.
    """
    if not isinstance(inputs, list | tuple) or not inputs or not all(isinstance(args, list) for args in inputs):
        raise ValueError(
            f"inputs must be a list of at least one list of arguments, together with reference, not {show(inputs)}"
        )
    prepared = []
    for position, args in enumerate(inputs):
        try:
            prepared.append([prepare_value(value) for value in args])
        except ValueError as error:
            raise ValueError(f"inputs {position}: {error}") from None
    return tuple(prepared)


def check_result(result: Any, args_of_calls: Sequence[list]) -> None:
    """Check which value of a call is compared: `args.N`, an argument that each of the calls has, or None.

    Raises:
        ValueError: it is something else.
    """
    if result is None:
        return
    matched = _RESULT.fullmatch(result) if isinstance(result, str) else None
    if matched is None:
        raise ValueError(f"result must be args.N, as in args.0, not {show(result)}")
    for args in args_of_calls:
        if int(matched[1]) >= len(args):
            raise ValueError(f"result is {result}, but a call has {len(args)} positional arguments")


def reject_contradictions(tests: Sequence[Test] | Sequence[StdinTest], *, float_tol: float | None) -> None:
    """Raise ValueError where two tests have equal input and no result can satisfy both."""
    seen: dict[str, int] = {}
    for position, test in enumerate(tests):
        key = json.dumps([test.stdin] if isinstance(test, StdinTest) else [test.args, test.kwargs, test.result])
        first = seen.setdefault(key, position)
        if not _agree(tests[first], test, float_tol):
            raise ValueError(f"tests {first} and {position} have the same input and expect different results")


def count_expected_bytes(tests: Sequence[Test] | Sequence[StdinTest]) -> int:
    """Count the bytes that a correct program writes: encoded results of all calls, or the longest standard output.

    A correct value may have a longer text than the expected one, such as a float within the tolerance.
    """
    if tests and isinstance(tests[0], StdinTest):
        return max(len(test.stdout.encode()) for test in tests if isinstance(test, StdinTest))
    # A list adds a comma or bracket for each value and one more; a result line adds its kind and a line break.
    text = json.dumps([test.expected for test in tests if isinstance(test, Test)], separators=(",", ":"))
    return len(text) - 1 + len(tests) if tests else 0


def test_to_row(test: Test | StdinTest) -> dict[str, Any]:
    """Write a test as `parse_tests` reads it."""
    if isinstance(test, StdinTest):
        return {"stdin": test.stdin, "stdout": test.stdout}
    row: dict[str, Any] = {"args": test.args}
    if test.kwargs:
        row["kwargs"] = test.kwargs
    if test.result is not None:
        row["result"] = test.result
    return row | ({"expected": test.expected} if test.raises is None else {"raises": test.raises})


test_to_row.__test__ = False  # type: ignore[attr-defined]  # not a pytest function


def reject_unknown_keys(keys: Iterable[Any], known: Sequence[str]) -> None:
    """Raise ValueError for the first key that is not known; the message suggests the nearest known one."""
    for key in keys:
        if key not in known:
            nearest = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(known)}"
            raise ValueError(f"unknown key {show(key)}; {hint}")


def _check_keys(row: Any, known: Sequence[str], others: Sequence[str]) -> None:
    if not isinstance(row, Mapping):
        raise ValueError(f"a test must be an object with {_required(known)}, not {show(row)}")
    if mixed := [key for key in row if key in others]:
        raise ValueError(f"{mixed[0]} belongs to another kind of test than that of test 0, with {_required(known)}")
    reject_unknown_keys(row, known)


def _required(known: Sequence[str]) -> str:
    return "stdin and stdout" if known is _STDIN_KEYS else "args and expected"


def _parse_stdin_test(row: Mapping[str, Any]) -> StdinTest:
    for key in _STDIN_KEYS:
        if not isinstance(row.get(key), str):
            raise ValueError(f"{key} must be a string, not {show(row.get(key))}")
        try:
            row[key].encode()
        except UnicodeEncodeError:
            raise ValueError(f"{key} holds a lone surrogate, which UTF-8 cannot encode") from None
    return StdinTest(stdin=row["stdin"], stdout=row["stdout"])


def _parse_call(row: Mapping[str, Any]) -> Test:
    raises = row.get("raises")
    if ("args" not in row and "kwargs" not in row) or ("expected" not in row and raises is None):
        raise ValueError("a test must be an object with args and expected (or kwargs, and raises)")
    if "expected" in row and raises is not None:
        raise ValueError("it has expected and raises; a call either returns or raises")
    args, kwargs = row.get("args", []), row.get("kwargs") or {}
    if not isinstance(args, list):
        raise ValueError(f"args must be a list, not {show(args)}")
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) and name.isidentifier() for name in kwargs):
        raise ValueError(f"kwargs must be an object of parameter names and values, not {show(kwargs)}")
    _check_raises(raises)
    if raises is not None and row.get("result") is not None:
        raise ValueError("it has raises and result; after an exception nothing is compared")
    check_result(row.get("result"), [args])
    return Test(
        args=[prepare_value(value) for value in args],
        kwargs={name: prepare_value(value) for name, value in kwargs.items()},
        expected=prepare_value(row.get("expected")),
        raises=raises,
        result=row.get("result"),
    )


def _check_raises(raises: Any) -> None:
    if raises is None:
        return
    if not isinstance(raises, str) or not raises.isidentifier() or keyword.iskeyword(raises):
        raise ValueError(f"raises must be the name of an exception class, as in ValueError, not {show(raises)}")
    builtin = getattr(builtins, raises, BaseException)
    if not (isinstance(builtin, type) and issubclass(builtin, BaseException)):
        raise ValueError(f"raises must be the name of an exception class, but {raises} is none")


def _agree(first: Any, second: Any, float_tol: float | None) -> bool:
    """Whether one result can satisfy two tests of equal input."""
    if first == second:
        return True
    if isinstance(first, StdinTest):
        return stdout_equal(first.stdout.encode(), second.stdout, float_tol=float_tol)
    if first.raises is not None or second.raises is not None:
        return first.raises is not None and second.raises is not None  # one may be a base class of the other
    try:
        values = decode_value(first.expected), decode_value(second.expected)
    except ValueError:  # tags that only the sandbox reads
        return True
    return values_equal(*values, float_tol=float_tol) or values_equal(*values[::-1], float_tol=float_tol)
