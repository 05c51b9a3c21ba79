"""CodeContests (`deepmind/code_contests`).

All rows read stdin; public, private and generated tests are taken together. The layout of SandboxFusion is read too:
`content`, `labels`, and `test`, a JSON list of `{"input": {"stdin"}, "output": {"stdout"}}`.

Provenance: SandboxFusion's layout is tested with real rows; the data set's own columns are written from
`contest_problem.proto`.
"""

import math
from collections.abc import Mapping
from typing import Any

from executor.convert.build import MIN_MEMORY_MIB, add_labels, build_stdin_task
from executor.convert.cases import make_stdin_tests, pair_tests
from executor.convert.columns import (
    MalformedRow,
    SkipRow,
    check_list,
    read_json,
    read_mapping,
    read_number,
    read_statement,
    read_text,
)
from executor.convert.programs import check_solutions

_SOURCES = ("UNKNOWN_SOURCE", "CODECHEF", "CODEFORCES", "HACKEREARTH", "CODEJAM", "ATCODER", "AIZU")
_DIFFICULTIES = (
    "UNKNOWN_DIFFICULTY",
    *("EASY", "MEDIUM", "HARD", "HARDER", "HARDEST", "EXTERNAL"),
    *"ABCDEFGHIJKLMNOPQRSTUV",
)
_PYTHON_3 = 3
_TESTS = ("public_tests", "private_tests", "generated_tests")


def convert_code_contests(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of CodeContests, in its own layout or SandboxFusion's.

    Raises:
        SkipRow: it reads or writes files, has no tests, is interactive, or is malformed.
    """
    if "content" in row and "labels" in row:
        return _convert_sandbox_fusion(row)
    if read_text(row, "input_file", "") or read_text(row, "output_file", ""):
        raise SkipRow("reads or writes files")
    statement = read_statement(row, "description")
    inputs, outputs = _read_tests(row)
    task = {
        "task_id": f"code_contests/{_read_name(row, 'name')}",
        **build_stdin_task(make_stdin_tests(inputs, outputs), statement=statement, solutions=_read_solutions(row)),
        **_read_limits(row),
    }
    source = _name_enum(row, "source", _SOURCES)
    metadata = {
        "source": source,
        "difficulty": _name_enum(row, "difficulty", _DIFFICULTIES),
        "rating": row.get("cf_rating") or None,
        "tags": [tag for tag in check_list(row.get("cf_tags") or [], "cf_tags") if tag],
    }
    return add_labels(task, group=source, metadata=metadata)


def _read_tests(row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    if not any(row.get(column) is not None for column in _TESTS):
        raise MalformedRow(f"{_TESTS[0]} is missing")
    inputs: list[str] = []
    outputs: list[str] = []
    for column in _TESTS:
        tests = read_mapping(row, column)
        if not tests:
            continue
        if any(tests.get(key) is None for key in ("input", "output")):
            raise MalformedRow(f"{column} has no input or no output")
        if tests["input"] == [] == tests["output"]:
            continue
        for stdin, stdout in pair_tests(tests["input"], tests["output"]):
            inputs.append(stdin)
            outputs.append(stdout)
    return inputs, outputs


def _read_solutions(row: Mapping[str, Any]) -> list[str]:
    solutions = read_mapping(row, "solutions")
    if not solutions:
        return []
    languages = check_list(solutions.get("language"), "solutions.language")
    sources = check_list(solutions.get("solution"), "solutions.solution")
    if len(languages) != len(sources):
        raise MalformedRow("solutions.language and solutions.solution differ in number")
    chosen = [source for language, source in zip(languages, sources, strict=True) if language in (_PYTHON_3, "PYTHON3")]
    return check_solutions(chosen, "solutions.solution")


def _read_limits(row: Mapping[str, Any]) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    time_limit = read_mapping(row, "time_limit")
    seconds = (read_number(time_limit, "seconds") or 0) + (read_number(time_limit, "nanos") or 0) / 1e9
    if seconds > 0:
        limits["time_limit_s"] = round(seconds, 9)
    memory_bytes = read_number(row, "memory_limit_bytes")
    if memory_bytes is not None:
        limits["memory_mib"] = max(MIN_MEMORY_MIB, math.ceil(memory_bytes / 2**20))
    return limits


def _name_enum(row: Mapping[str, Any], column: str, names: tuple[str, ...]) -> str:
    """Name a value of an enum, which is 0 where it is unknown."""
    value = row.get(column)
    if isinstance(value, str):
        return value
    return names[value] if type(value) is int and 0 < value < len(names) else ""


def _read_name(row: Mapping[str, Any], column: str) -> str:
    name = read_text(row, column).strip()
    if not name:
        raise MalformedRow(f"{column} is empty")
    return name


def _convert_sandbox_fusion(row: Mapping[str, Any]) -> dict[str, Any]:
    labels = read_mapping(row, "labels")
    statement = read_statement(row, "content")
    inputs, outputs = [], []
    for test in check_list(read_json(row, "test"), "test"):
        if not isinstance(test, Mapping):
            raise MalformedRow("an item of test must be an object")
        inputs.append(read_text(read_mapping(test, "input"), "stdin"))
        outputs.append(read_text(read_mapping(test, "output"), "stdout"))
    task = {
        "task_id": f"code_contests/{_read_name(labels, 'name')}",
        **build_stdin_task(make_stdin_tests(inputs, outputs), statement=statement, solutions=()),
    }
    source = read_text(labels, "source", "")
    return add_labels(task, group=source, metadata={"source": source, "difficulty": labels.get("difficulty")})
