"""Data sets made for RL from problems of others: Eurus 2 (`PRIME-RL/Eurus-2-RL-Data`, coding part) and DeepCoder
(`agentica-org/DeepCoder-Preview-Dataset`, configs `codeforces`, `lcbv5`, `primeintellect` and `taco`).

`reward_model.ground_truth` of Eurus is JSON in the form of APPS. With `fn_name`, an input may also be a text with one
JSON value a line for each argument, and an output a JSON text. The form of `tests` tells the configs of DeepCoder
apart: `taco` has an object in the form of APPS, `primeintellect` items with a `type`, `lcbv5` items with a `testtype`
and `metadata.func_name`, `codeforces` items with `input` and `output` only. All tests are kept.

Provenance: written from the loaders of verl (`prime_code`), rllm and NeMo-RL.
"""

from collections.abc import Mapping
from typing import Any

from executor.convert.build import (
    add_labels,
    build_call_task,
    build_stdin_task,
    build_task,
    digest,
    read_last_message,
)
from executor.convert.cases import make_json_line_calls, make_stdin_tests, pair_tests
from executor.convert.columns import (
    MalformedRow,
    SkipRow,
    check_json,
    check_list,
    read_json,
    read_mapping,
    read_statement,
    read_text,
)
from executor.convert.formats.livecodebench import PRELUDE
from executor.convert.formats.prime import join_test_cases
from executor.convert.programs import check_solutions, choose_entry_point


def convert_eurus(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of Eurus-2-RL-Data.

    Raises:
        SkipRow: its ability is not code, it has no tests, or it is malformed.
    """
    if read_text(row, "ability", "code") not in ("code", "coding"):
        raise SkipRow("not a coding task")
    messages = row.get("prompt")
    if isinstance(messages, str):
        messages = check_json(messages, "prompt")
    statement = read_statement({"prompt": read_last_message(messages, "prompt")}, "prompt")
    truth = read_text(read_mapping(row, "reward_model"), "ground_truth")
    source = read_text(row, "data_source", "")
    task = {
        "task_id": f"eurus/{digest(statement, truth)}",
        **convert_ground_truth(check_json(truth, "ground_truth"), "ground_truth", statement=statement),
    }
    return add_labels(task, group=source, metadata={"source": source})


def convert_deepcoder(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of DeepCoder.

    Raises:
        SkipRow: it has no tests, is interactive, or is malformed.
    """
    statement = read_statement(row, "problem")
    text = read_text(row, "tests")
    tests = read_json(row, "tests")
    listed = row.get("solutions")
    solutions = [] if listed is None else check_solutions(check_list(listed, "solutions"), "solutions")
    starter = read_text(row, "starter_code", "")
    if isinstance(tests, list) and tests and all(isinstance(test, Mapping) for test in tests):
        if any("type" in test for test in tests):
            tests = join_test_cases(tests, "tests")
        else:
            task = _build_item_tests(row, tests, statement=statement, solutions=solutions, starter=starter)
            return add_labels({"task_id": f"deepcoder/{digest(statement, text)}", **task})
    task = build_task(tests, "tests", statement=statement, solutions=solutions, starter=starter)
    return add_labels({"task_id": f"deepcoder/{digest(statement, text)}", **task})


def convert_ground_truth(truth: Any, what: str, *, statement: str) -> dict[str, Any]:
    """Convert an object in the form of APPS whose calls may be texts."""
    if not isinstance(truth, Mapping):
        raise MalformedRow(f"{what} must be an object")
    function, inputs = truth.get("fn_name"), truth.get("inputs")
    if not isinstance(function, str) or not function or not isinstance(inputs, list):
        return build_task(truth, what, statement=statement, solutions=())
    if not any(isinstance(text, str) for text in inputs):
        return build_task(truth, what, statement=statement, solutions=())
    pair_tests(inputs, truth.get("outputs"))
    return build_call_task(
        make_json_line_calls(inputs, truth["outputs"]),
        entry_point=choose_entry_point(function, starter=statement, solutions=()),
        statement=statement,
        solutions=(),
    )


def _build_item_tests(
    row: Mapping[str, Any],
    tests: list[Mapping[str, Any]],
    *,
    statement: str,
    solutions: list[str],
    starter: str,
) -> dict[str, Any]:
    """Build a task from items of `input`, `output` and, in config lcbv5, `testtype`."""
    types = {read_text(test, "testtype", "stdin") for test in tests}
    if types not in ({"stdin"}, {"functional"}):
        raise MalformedRow("testtype must be stdin or functional, the same in all tests")
    inputs = [read_text(test, "input") for test in tests]
    outputs = [read_text(test, "output") for test in tests]
    if types == {"stdin"}:
        cases = make_stdin_tests(inputs, outputs)
        return build_stdin_task(cases, statement=statement, solutions=solutions, starter=starter)
    function = read_text(_read_metadata(row, tests), "func_name")
    entry_point = choose_entry_point(function, starter="class Solution", solutions=())
    return build_call_task(
        make_json_line_calls(inputs, outputs),
        entry_point=entry_point,
        statement=statement,
        solutions=solutions,
        starter=starter,
        prelude=PRELUDE,
    )


def _read_metadata(row: Mapping[str, Any], tests: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Find the metadata of the row or, where copies of the data set have it, of its first test."""
    return read_mapping(row, "metadata") or read_mapping(tests[0], "metadata")
