"""Codeforces (`open-r1/codeforces`, configs `default`, `verifiable` and `verifiable-prompts`).

All rows read stdin. `generated_checker` becomes the checker of the task. Tests of `official_tests` are taken; where the
data set holds a part of them only, `metadata.official_tests_complete` is false. Tests of the separate folder
`generated_tests` are not read.

Provenance: written from the card.
"""

import math
from collections.abc import Mapping
from typing import Any

from executor.convert.build import MIN_MEMORY_MIB, add_labels
from executor.convert.cases import choose_stdin_tolerance, make_stdin_tests, reject_interactive
from executor.convert.columns import MalformedRow, SkipRow, read_number, read_statement, read_text
from executor.convert.programs import parse_program, write_prompt

_SECTIONS = (("input_format", "Input"), ("output_format", "Output"))
_LABELS = ("title", "contest_id", "contest_name", "index", "rating", "tags", "official_tests_complete")


def convert_codeforces(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of open-r1/codeforces.

    Raises:
        SkipRow: it is interactive, reads files, has no official tests, or is malformed.
    """
    problem_id = read_text(row, "id").strip()
    if not problem_id:
        raise MalformedRow("id is empty")
    if read_text(row, "interaction_format", "").strip():
        raise SkipRow("interactive")
    input_mode = read_text(row, "input_mode", "stdio")
    if input_mode == "file":
        raise SkipRow("reads or writes files")
    if input_mode != "stdio":
        raise MalformedRow("input_mode must be stdio or file")
    if row.get("executable") is False:
        raise SkipRow("marked as not executable")
    statement = _write_statement(row)
    checker = read_text(row, "generated_checker", "").replace("\r\n", "\n")
    if checker.strip() and parse_program(checker) is None:
        raise SkipRow("the checker is not Python 3")
    reject_interactive(statement)
    pairs = _read_pairs(row, "official_tests")
    if not pairs:
        raise SkipRow("no tests")
    tests = make_stdin_tests([stdin for stdin, _ in pairs], [stdout for _, stdout in pairs])
    tolerance = None if checker.strip() else choose_stdin_tolerance(tests, statement)
    task = {
        "task_id": f"codeforces/{problem_id}",
        "prompt": write_prompt(statement),
        "tests": tests,
        **({} if tolerance is None else {"float_tol": tolerance}),
        **({"checker": checker} if checker.strip() else {}),
        **_read_limits(row),
    }
    return add_labels(task, metadata={name: row.get(name) for name in _LABELS})


def _write_statement(row: Mapping[str, Any]) -> str:
    parts = [read_statement(row, "description")]
    for column, title in _SECTIONS:
        if text := read_text(row, column, "").strip():
            parts.append(f"## {title}\n\n{text}")
    for stdin, stdout in _read_pairs(row, "examples"):
        parts.append(f"## Example\n\nInput:\n```\n{stdin.rstrip()}\n```\nOutput:\n```\n{stdout.rstrip()}\n```")
    if note := read_text(row, "note", "").strip():
        parts.append(f"## Note\n\n{note}")
    return "\n\n".join(parts).replace("\r\n", "\n")


def _read_pairs(row: Mapping[str, Any], column: str) -> list[tuple[str, str]]:
    tests = row.get(column)
    if tests is None:
        return []
    if not isinstance(tests, list) or not all(isinstance(test, Mapping) for test in tests):
        raise MalformedRow(f"{column} must be a list of objects")
    return [(read_text(test, "input"), read_text(test, "output")) for test in tests]


def _read_limits(row: Mapping[str, Any]) -> dict[str, Any]:
    seconds, megabytes = read_number(row, "time_limit"), read_number(row, "memory_limit")
    return {
        **({} if seconds is None else {"time_limit_s": seconds}),
        **({} if megabytes is None else {"memory_mib": max(MIN_MEMORY_MIB, math.ceil(megabytes))}),
    }
