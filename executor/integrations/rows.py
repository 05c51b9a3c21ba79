"""Tasks from the columns, labels and asserts of other tools. Nothing is run."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from executor.convert.asserts import find_entry_point, find_unknown_names, write_check
from executor.convert.columns import SkipRow
from executor.convert.formats.rl_collections import convert_ground_truth
from executor.convert.programs import choose_entry_point
from executor.grading.tasks import TASK_KEYS, parse_task
from executor.grading.tasks.values import parse_row_json
from executor.types import Task

ASSERT_COLUMNS = ("test_cases", "test_list", "asserts")
"""Columns with a list of asserts: the names of AceCode, MBPP and TRL's examples."""
_COLUMN_KEYS = tuple(key for key in TASK_KEYS if key not in ("prompt", "task_id"))


def read_task(row: str | Mapping[str, Any]) -> Task:
    """Read a task row, given as an object or as its JSON text.

    Raises:
        ValueError: it is not a task row; one line.
    """
    return _read_text(row) if isinstance(row, str) else _read_object(row)


@functools.lru_cache(maxsize=4096)
def _read_text(text: str) -> Task:
    try:
        row = parse_row_json(text)
    except ValueError as error:
        raise ValueError(f"a task must be the JSON text of a task row, not {text[:60]!r}: {error}") from None
    return _read_object(row)


def _read_object(row: Any) -> Task:
    if not isinstance(row, Mapping):
        raise ValueError(f"a task must be an object, not {type(row).__name__}")
    return parse_task(row)


def build_assert_task(asserts: Sequence[str], *, task_id: str) -> Task:
    """Build a task whose asserts run apart from the program and call it from outside.

    Args:
        asserts: source of at least one. All call one function of the program and use no other name of it.
        task_id: of the task.

    Raises:
        ValueError: an assert does not parse or uses more of the program; one line that quotes it.
    """
    if not asserts or not all(isinstance(source, str) for source in asserts):
        raise ValueError("asserts must be a list of at least one string")
    function = find_entry_point(asserts)
    check = write_check(asserts, function=function)
    if unknown := find_unknown_names(check):
        raise ValueError(
            f"the asserts use {unknown[0]} in addition to {function}; they may use only one function of the program"
        )
    return parse_task({"task_id": task_id, "entry_point": function, "check": check})


def read_ground_truth(text: str, completion: str) -> Task:
    """Read verl's ground truth of a coding problem, or a task row.

    Args:
        text: JSON of `{"inputs": [...], "outputs": [...], "fn_name": ...}`, of `{"assert_case": [...]}`, or of a row.
        completion: says whether the function `fn_name` is a method of `class Solution`.

    Raises:
        ValueError: the text is neither; one line.
    """
    task, is_open = _read_ground_truth(text)
    if not is_open:
        return task
    return replace(task, entry_point=choose_entry_point(task.entry_point, starter=completion, solutions=()))


@functools.lru_cache(maxsize=4096)
def _read_ground_truth(text: str) -> tuple[Task, bool]:
    """Read a ground truth; returns its task, and whether the completion chooses between a function and a method."""
    truth = parse_row_json(text)
    if not isinstance(truth, Mapping):
        raise ValueError(f"ground_truth must be the JSON text of an object, not {text[:60]!r}")
    if "task_id" in truth:
        return parse_task(truth), False
    if asserts := truth.get("assert_case"):
        return build_assert_task(asserts, task_id="ground_truth"), False
    try:
        row = convert_ground_truth(truth, "ground_truth", statement="")
    except SkipRow as error:
        raise ValueError(f"ground_truth cannot be graded: {error.reason}") from None
    return parse_task({"task_id": "ground_truth", **row, "prompt": None}), "entry_point" in row


def read_columns(columns: Mapping[str, Sequence[Any]], num_samples: int) -> list[Task]:
    """Read the tasks of a batch from columns of a data set.

    Args:
        columns: `task` with task rows (objects or JSON text); or the keys of a task row, each a column; or one of
            `ASSERT_COLUMNS`. Other columns are left alone.
        num_samples: rows of the batch.

    Raises:
        ValueError: there are no such columns, or a row is no task; one line.
    """
    if "task" in columns:
        return [read_task(row) for row in columns["task"]]
    if name := next((name for name in ASSERT_COLUMNS if name in columns), None):
        return [build_assert_task(_read_list(value), task_id=name) for value in columns[name]]
    keys = [key for key in _COLUMN_KEYS if key in columns]
    if not {"tests", "check", "reference"} & set(keys):
        raise ValueError(
            f"the data set needs a column task, tests, check or reference, or one of {', '.join(ASSERT_COLUMNS)}; "
            f"it has {', '.join(columns) or 'no other columns'}"
        )
    rows = [{key: columns[key][index] for key in keys} for index in range(num_samples)]
    return [parse_task({"task_id": index, **row}) for index, row in enumerate(rows)]


def cut_prompt(query: str, prompt: str) -> str:
    """Return what follows the prompt in a text that a tokenizer has decoded.

    White space is not compared, since decoding may change it, and tokens may stand before the prompt.

    Raises:
        ValueError: the text does not hold the prompt.
    """
    if query.startswith(prompt):
        return query[len(prompt) :]
    positions = [index for index, character in enumerate(query) if not character.isspace()]
    wanted = "".join(prompt.split())
    start = "".join(query.split()).find(wanted)
    if start < 0:
        raise ValueError("the query does not contain its prompt, so the completion cannot be separated from it")
    end = start + len(wanted)
    return query[positions[end - 1] + 1 :] if end else query


def _read_list(value: Any) -> Any:
    return parse_row_json(value) if isinstance(value, str) else value
