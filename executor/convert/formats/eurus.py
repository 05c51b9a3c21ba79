"""The coding part of Eurus 2's RL data (`PRIME-RL/Eurus-2-RL-Data`).

`reward_model.ground_truth` is JSON in the form of APPS. With `fn_name`, an input may also be a text with one JSON value
a line for each argument, and an output a JSON text.

Provenance: written from the loader of verl (`prime_code`).
"""

from collections.abc import Mapping
from typing import Any

from executor.convert.build import add_labels, build_call_task, build_task, digest, read_last_message
from executor.convert.cases import make_json_line_calls, pair_tests
from executor.convert.columns import MalformedRow, SkipRow, check_json, read_mapping, read_statement, read_text
from executor.convert.programs import choose_entry_point


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


def convert_ground_truth(truth: Any, what: str, *, statement: str) -> dict[str, Any]:
    """Convert an object in the form of APPS whose calls may be texts.

    Raises:
        SkipRow: as in `build_task`.
    """
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
