"""From rows of benchmarks to prompts and task rows. It reads no files and runs nothing.

Three shapes are known. HumanEval's (and HumanEval+'s): `task_id, prompt, entry_point, test`, and optionally
`canonical_solution`. MBPP's: `task_id`, `text` or `prompt`, `test_list`, and optionally `code, test_setup_code,
test_imports`; MBPP+ has its whole suite in `test`, which is run in place of `test_list`. Other columns of these two are
ignored. Task rows (`executor.grading.tasks.TASK_KEYS`) with a `prompt`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from executor.convert.asserts import find_entry_point, write_mbpp_check
from executor.convert.columns import read_text
from executor.convert.formats.mbpp import read_mbpp_columns, write_mbpp_prompt
from executor.grading.tasks import choose_check_profile, parse_task
from executor.grading.tasks.tests import reject_unknown_keys

_HUMAN_EVAL = ("task_id", "prompt", "entry_point", "test")
_MBPP = ("task_id", "prompt", "test_list")
_OPTIONAL = ("canonical_solution", "text", "code", "test_setup_code", "test_imports")
COLUMNS = tuple(dict.fromkeys((*_HUMAN_EVAL, *_MBPP, *_OPTIONAL)))
"""Names a column can be mapped to."""
_MBPP_COLUMNS = (*_MBPP, *_OPTIONAL[1:], "test", "challenge_test_list", "source_file")
"""Columns of MBPP and MBPP+, whether used or not."""
_TESTS = ("tests", "check", "reference")
"""Keys of which a task row has one."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkTask:
    """One task of a benchmark."""

    task_id: str
    prompt: str
    row: Mapping[str, Any]
    """What completions are graded against, as `parse_task` reads it. It has a prompt where completions may continue
    the prompt's code."""
    unknown_names: tuple[str, ...] = ()
    """Names the check reads and does not define: it needs the program's, and cannot be run apart from it."""


def benchmark_task(row: Mapping[str, Any], columns: Mapping[str, str] | None = None) -> BenchmarkTask:
    """Read a row.

    Args:
        row: of a file or data set.
        columns: from our names to those of the row, where these differ.

    Raises:
        ValueError: one line: an unknown shape, or a column that is missing or makes no sense.
    """
    named = _rename(row, columns or {})
    if all(named.get(column) is not None for column in _HUMAN_EVAL):
        return _read_human_eval(named)
    if named.get("prompt") is None and named.get("text") is not None:
        named["prompt"] = named["text"]
    if all(named.get(column) is not None for column in _MBPP):
        return _read_mbpp(named)
    if any(named.get(key) is not None for key in _TESTS):
        return _read_task_row(named)
    raise ValueError(_describe_unknown_shape(named, row))


def reject_unknown_mbpp_columns(row: Mapping[str, Any]) -> None:
    """Raise ValueError for a column that neither MBPP nor MBPP+ has, as where every key must have an effect."""
    reject_unknown_keys([key for key, value in row.items() if value is not None], _MBPP_COLUMNS)


def _rename(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    if wrong := [name for name in columns if name not in COLUMNS]:
        raise ValueError(f"columns: there is no {wrong[0]}; a column can be named {', '.join(COLUMNS)}")
    if missing := [theirs for theirs in columns.values() if theirs not in row]:
        raise ValueError(f"column {missing[0]} is missing: there are {', '.join(map(str, row))}")
    return {**row, **{ours: row[theirs] for ours, theirs in columns.items()}}


def _describe_unknown_shape(named: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Say what the row lacks of the shape it is nearest to."""
    is_mbpp = named.get("test_list") is not None
    shape, required = ("MBPP", _MBPP) if is_mbpp else ("HumanEval", _HUMAN_EVAL)
    missing = [column for column in required if named.get(column) is None]
    other = "" if is_mbpp else " (or MBPP's task_id, prompt and test_list)"
    return (
        f"column {', '.join(missing)} of {shape}'s shape is missing{other}: there are {', '.join(map(str, row))}; "
        f"name what differs as in --columns {missing[0]}=THEIRS"
    )


def _read_human_eval(row: Mapping[str, Any]) -> BenchmarkTask:
    prompt = read_text(row, "prompt").replace("\r\n", "\n")
    return _build(
        {
            "task_id": row["task_id"],
            "prompt": prompt,
            "entry_point": row["entry_point"],
            "check": read_text(row, "test").replace("\r\n", "\n"),
            "solution": read_text(row, "canonical_solution", "").replace("\r\n", "\n") or None,
        },
        prompt,
    )


def _read_mbpp(row: Mapping[str, Any]) -> BenchmarkTask:
    statement, asserts, preamble, code = read_mbpp_columns(row)
    suite = read_text(row, "test", "").replace("\r\n", "\n")
    function = find_entry_point(asserts, preamble=preamble, solution=code or None)
    check, unknown = write_mbpp_check(asserts, function=function, preamble=preamble, suite=suite, solution=code)
    task_row = {
        "task_id": row["task_id"],
        "entry_point": function,
        "check": check,
        "solution": code or None,
        "profile": choose_check_profile(f"{preamble}\n{suite}"),
    }
    return _build(task_row, write_mbpp_prompt(statement, asserts), tuple(unknown))


def _read_task_row(row: Mapping[str, Any]) -> BenchmarkTask:
    if row.get("prompt") is None:
        raise ValueError(f"task {row.get('task_id')!r:.80} has no prompt")
    return _build(row, read_text(row, "prompt"))


def _build(row: Mapping[str, Any], prompt: str, unknown_names: tuple[str, ...] = ()) -> BenchmarkTask:
    return BenchmarkTask(task_id=parse_task(row).task_id, prompt=prompt, row=row, unknown_names=unknown_names)
