"""APPS (`codeparrot/apps`) and TACO (`BAAI/TACO`).

Rows without `fn_name` read stdin; rows with one call a function, or a method of `class Solution`. TACO is also read in
the layout of NeMo Gym (`verifier_metadata.unit_tests`, and a chat that holds the prompt), which has stdin tests only.

Provenance: both kinds of APPS and NeMo Gym's layout of TACO are tested with real rows; TACO's own layout is written
from its card.
"""

import re
from collections.abc import Mapping
from typing import Any

from executor.convert.build import MIN_MEMORY_MIB, add_labels, build_task, digest, read_last_message
from executor.convert.columns import (
    MalformedRow,
    SkipRow,
    check_list,
    read_json,
    read_mapping,
    read_statement,
    read_text,
)
from executor.convert.programs import check_solutions

_SECONDS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*s(?:ecs?|econds?)?\.?\s*", re.IGNORECASE)
_MEGABYTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(m|g)(?:i?b|egabytes?|igabytes?)\s*", re.IGNORECASE)
_TACO_LABELS = ("difficulty", "name", "source", "url", "date", "tags", "skill_types")


def convert_apps(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of APPS.

    Raises:
        SkipRow: it has no tests, is interactive, or is malformed.
    """
    problem_id = row.get("problem_id")
    if type(problem_id) is not int:
        raise MalformedRow(f"problem_id is {'not an integer' if problem_id is not None else 'missing'}")
    task = {"task_id": f"apps/{problem_id}", **_convert_input_output(row, read_statement(row, "question"))}
    difficulty = read_text(row, "difficulty", "")
    return add_labels(task, group=difficulty, metadata={"difficulty": difficulty, "url": row.get("url")})


def convert_taco(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of TACO, in its own layout or NeMo Gym's.

    Raises:
        SkipRow: as in `convert_apps`.
    """
    if "verifier_metadata" in row:
        return _convert_nemo_gym(row)
    statement = read_statement(row, "question")
    task = {
        "task_id": f"taco/{digest(statement, read_text(row, 'input_output', ''))}",
        **_convert_input_output(row, statement),
        **_read_limits(row),
    }
    labels = {name: row.get(name) for name in _TACO_LABELS}
    return add_labels(task, group=read_text(row, "difficulty", ""), metadata=labels)


def _convert_input_output(row: Mapping[str, Any], statement: str) -> dict[str, Any]:
    if not read_text(row, "input_output").strip():
        raise SkipRow("no tests")
    listed = read_text(row, "solutions", "")
    solutions = check_list(read_json(row, "solutions"), "solutions") if listed.strip() else []
    return build_task(
        read_json(row, "input_output"),
        "input_output",
        statement=statement,
        solutions=check_solutions(solutions, "solutions"),
        starter=read_text(row, "starter_code", ""),
    )


def _read_limits(row: Mapping[str, Any]) -> dict[str, Any]:
    """Read limits such as `2.0 seconds` and `256.0 megabytes`; what has another form is left out."""
    limits: dict[str, Any] = {}
    seconds = _SECONDS.fullmatch(read_text(row, "time_limit", ""))
    if seconds is not None and float(seconds[1]) > 0:
        limits["time_limit_s"] = float(seconds[1])
    memory = _MEGABYTES.fullmatch(read_text(row, "memory_limit", ""))
    if memory is not None and float(memory[1]) > 0:
        mib = float(memory[1]) * (1024 if memory[2].lower() == "g" else 1)
        limits["memory_mib"] = max(MIN_MEMORY_MIB, round(mib))
    return limits


def _convert_nemo_gym(row: Mapping[str, Any]) -> dict[str, Any]:
    unit_tests = read_mapping(read_mapping(row, "verifier_metadata"), "unit_tests")
    messages = read_mapping(row, "responses_create_params").get("input")
    prompt = read_last_message(messages, "responses_create_params.input")
    statement = read_statement({"prompt": prompt}, "prompt")
    task = {
        "task_id": f"taco/{read_text(row, 'hash_id', '') or digest(statement)}",
        **build_task(unit_tests, "unit_tests", statement=statement, solutions=()),
        "prompt": statement,  # the chat's own words say how the program is run
    }
    return add_labels(task, metadata={"source": row.get("source")})
