"""Task rows."""

import sys
from collections.abc import Mapping
from typing import Any

from executor.sandbox.codec import decode_value, parse_json
from executor.types import PROFILES, Task, Test

MAX_FLOAT = sys.float_info.max
"""An integer beyond it is finite too, and cannot be computed with."""


_KINDS = ("tests", "check", "reference")


def task_from_row(row: Mapping[str, Any]) -> Task:
    """Check a row of a task file, a request or a data set.

    Args:
        row: `task_id`, `entry_point` and one of: `tests`, a list of `{"args": [...], "expected": ...}` or such a list
            as a JSON string; `check` (HumanEval's name `test` is taken too), source that defines `check(candidate)`,
            with `prompt`; `reference`, source of a right program, with `inputs`, a list of argument lists. Optional:
            `prompt`, `float_tol`, `group`, `profile`.

    Raises:
        ValueError: one line naming the key, the value and what would be right.
    """
    row = dict(row)
    if "test" in row and row.get("check") is None:
        row["check"] = row["test"]
    missing = [key for key in ("task_id", "entry_point") if row.get(key) is None]
    kinds = [key for key in _KINDS if row.get(key) is not None]
    if not kinds:
        missing.append("tests")
    if missing:
        raise ValueError(f"a task needs task_id, entry_point and tests; missing: {', '.join(missing)}")
    task_id, entry_point = row["task_id"], row["entry_point"]
    if type(task_id) not in (str, int):
        raise ValueError(f"task_id must be a string or an integer, not {task_id!r:.80}")
    try:
        if len(kinds) > 1:
            raise ValueError(f"it has {' and '.join(kinds)}; one of them decides")
        if not isinstance(entry_point, str) or not entry_point.isidentifier():
            raise ValueError(f"entry_point must be the name of a function, not {entry_point!r:.80}")
        for key in ("prompt", "check", "reference", "group"):
            if row.get(key) is not None and not isinstance(row[key], str):
                raise ValueError(f"{key} must be a string, not {type(row[key]).__name__}")
        tolerance = row.get("float_tol")
        if tolerance is not None and (type(tolerance) not in (int, float) or not 0 <= tolerance <= MAX_FLOAT):
            raise ValueError(f"float_tol must be a finite number of at least 0, not {tolerance!r:.80}")
        profile = profile_from(row.get("profile"))
        if profile != "cpu" and kinds == ["check"]:
            raise ValueError(f"a check runs in the profile cpu only, not in {profile}")
        if profile == "cpu" and _holds_tensors(row):
            raise ValueError("it has tensors among its values: its profile must be torch or cuda, not cpu")
        return Task(
            task_id=str(task_id),
            entry_point=entry_point,
            tests=tests_from_json(row["tests"]) if kinds == ["tests"] else (),
            check=row.get("check"),
            reference=row.get("reference"),
            inputs=_inputs_from_row(row.get("inputs")) if kinds == ["reference"] else (),
            prompt=row.get("prompt"),
            float_tol=tolerance,
            group=row.get("group"),
            profile=profile,
        )
    except ValueError as error:
        raise ValueError(f"task {task_id}: {error}") from None


def profile_from(profile: Any) -> str:
    """Check the name of a profile; None is `cpu`.

    Raises:
        ValueError: there is no such profile.
    """
    if profile is not None and profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, not {profile!r:.40}")
    return profile or "cpu"


def _holds_tensors(row: Mapping[str, Any]) -> bool:
    values = [value for value in (row.get("tests"), row.get("inputs")) if value is not None]
    return any('"$tensor":' in v if isinstance(v, str) else "'$tensor': {" in repr(v) for v in values)


def _inputs_from_row(inputs: Any) -> tuple[list, ...]:
    if not isinstance(inputs, list) or not inputs or not all(isinstance(args, list) for args in inputs):
        raise ValueError("inputs must be a list of at least one list of arguments, beside reference")
    for position, args in enumerate(inputs):
        for tagged in args:
            try:
                decode_value(tagged)
            except ValueError as error:
                raise ValueError(f"inputs {position}: {error}") from None
    return tuple(inputs)


def tests_from_json(tests: Any) -> tuple[Test, ...]:
    """Check the tests of a task, given as a list or as a JSON string.

    Raises:
        ValueError: one line naming the test (counted from 0) and what is wrong with it.
    """
    rows = parse_json(tests) if isinstance(tests, str) else tests
    if not isinstance(rows, list | tuple) or not rows:
        raise ValueError('tests must be a list of at least one {"args": [...], "expected": ...}')
    return tuple(_test_from_row(row, f"test {position}") for position, row in enumerate(rows))


def _test_from_row(row: Any, where: str) -> Test:
    if not isinstance(row, Mapping) or "args" not in row or "expected" not in row:
        raise ValueError(f'{where} must be an object with "args" and "expected"')
    if not isinstance(row["args"], list):
        raise ValueError(f"{where}: args must be a list, not {type(row['args']).__name__}")
    for tagged in (*row["args"], row["expected"]):
        try:
            decode_value(tagged)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return Test(args=row["args"], expected=row["expected"])
