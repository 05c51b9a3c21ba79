"""Build the keys of task rows that several formats share: APPS' `inputs`, `outputs` and `fn_name`, ids and labels."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from executor.convert.cases import (
    choose_call_tolerance,
    choose_stdin_tolerance,
    find_return_annotation,
    make_apps_calls,
    make_call_tests,
    make_stdin_tests,
    reject_interactive,
)
from executor.convert.columns import MalformedRow, SkipRow, check_list, check_text, keep_small
from executor.convert.programs import CALL_PRELUDE, choose_entry_point, find_solution, write_prompt

MIN_MEMORY_MIB = 64
"""Contests set limits for compiled programs; Python alone takes some 20 MiB."""


def build_task(
    input_output: Any, what: str, *, statement: str, solutions: Sequence[str], starter: str = ""
) -> dict[str, Any]:
    """Build prompt, tests, entry point and solution from `{"inputs": [...], "outputs": [...], "fn_name"?: str}`.

    Args:
        input_output: the object, in the form of APPS.
        what: the name of its column.
        statement: the problem.
        solutions: programs that the data set lists as right.
        starter: code that the solution begins with.

    Raises:
        SkipRow: there are no tests, or the problem is interactive.
        MalformedRow: the object does not have this form.
    """
    inputs, outputs, function = _read_input_output(input_output, what)
    if function is None:
        return build_stdin_task(
            make_stdin_tests(inputs, outputs), statement=statement, solutions=solutions, starter=starter
        )
    returns = find_return_annotation(starter, function)
    calls = make_apps_calls(inputs, outputs, returns=returns)
    entry_point = choose_entry_point(function, starter=starter, solutions=solutions)
    task = build_call_task(calls, entry_point=entry_point, statement=statement, solutions=solutions, starter=starter)
    return task | ({"result": "args.0"} if returns == "None" else {})


def build_stdin_task(
    tests: list[dict[str, str]], *, statement: str, solutions: Sequence[str], starter: str = ""
) -> dict[str, Any]:
    """Build the keys of a stdin task that has no checker.

    Raises:
        SkipRow: the problem is interactive.
    """
    reject_interactive(statement)
    tolerance = choose_stdin_tolerance(tests, statement)
    solution = find_solution(solutions)
    return {
        "prompt": write_prompt(statement, starter=starter),
        "tests": tests,
        **({} if tolerance is None else {"float_tol": tolerance}),
        **({} if solution is None else {"solution": solution}),
    }


def build_call_task(
    calls: Sequence[tuple[list, Any]],
    *,
    entry_point: str,
    statement: str,
    solutions: Sequence[str],
    starter: str = "",
    prelude: str = CALL_PRELUDE,
) -> dict[str, Any]:
    """Build the keys of a task that calls a function, or a method of `class Solution`.

    Args:
        calls: arguments and the expected value of each call.
        entry_point: from `choose_entry_point`.
        statement: the problem.
        solutions: programs that the data set lists as right.
        starter: code that the solution begins with.
        prelude: source, or the name of one, that runs before the program.

    Raises:
        SkipRow: an expected value is too large to return.
        MalformedRow: a value is none that tests can hold.
    """
    tests = make_call_tests(calls)
    solution = find_solution(solutions, entry_point=entry_point)
    return {
        "prompt": write_prompt(statement, starter=starter, entry_point=entry_point),
        "entry_point": entry_point,
        "tests": tests,
        "float_tol": choose_call_tolerance(tests),
        "prelude": prelude,
        **({} if solution is None else {"solution": solution}),
    }


def digest(*texts: str) -> str:
    """Name a row without an id after its content."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]


def add_labels(task: dict[str, Any], *, group: str = "", metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Add the language of the prompt, the group and the small items of metadata."""
    return {
        **task,
        "language": "en",
        **({"group": group} if group else {}),
        "metadata": keep_small(metadata or {}),
    }


def read_last_message(messages: Any, what: str) -> str:
    """Return the last user message of a chat.

    Raises:
        MalformedRow: it is no list of messages, or has none of a user.
    """
    check_list(messages, what)
    if not all(isinstance(message, Mapping) for message in messages):
        raise MalformedRow(f"{what} must be a list of messages")
    texts = [message.get("content") for message in messages if message.get("role") == "user"]
    if not texts:
        raise MalformedRow(f"{what} has no message of a user")
    return check_text(texts[-1], f"a message of {what}")


def _read_input_output(input_output: Any, what: str) -> tuple[Any, Any, str | None]:
    if input_output in (None, {}, [], ""):
        raise SkipRow("no tests")
    if not isinstance(input_output, Mapping):
        raise MalformedRow(f"{what} must be an object")
    missing = [key for key in ("inputs", "outputs") if input_output.get(key) is None]
    if missing:
        raise MalformedRow(f"{what} has no {missing[0]}")
    function = input_output.get("fn_name")
    if function in (None, ""):
        return input_output["inputs"], input_output["outputs"], None
    return input_output["inputs"], input_output["outputs"], check_text(function, f"{what}.fn_name")
