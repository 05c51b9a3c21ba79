"""From rows of other people's benchmarks, in HumanEval's or MBPP's shape, to tasks. It reads no files and runs nothing.

HumanEval's shape (and HumanEval+'s): `task_id, prompt, entry_point, test`, and optionally `canonical_solution`. MBPP's:
`task_id`, `text` or `prompt`, `test_list`, and optionally `code, test_setup_code, test_imports`; MBPP+ has its whole
suite in `test`, which is run in place of `test_list`. Other columns are ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from executor.convert.asserts import (
    find_entry_point,
    find_imports,
    find_unknown_names,
    write_check,
    write_suite_check,
)
from executor.grading.tasks import choose_check_profile
from executor.grading.tasks.tests import reject_unknown_keys

_HUMAN_EVAL = ("task_id", "prompt", "entry_point", "test")
_MBPP = ("task_id", "prompt", "test_list")
_OPTIONAL = ("canonical_solution", "text", "code", "test_setup_code", "test_imports")
COLUMNS = tuple(dict.fromkeys((*_HUMAN_EVAL, *_MBPP, *_OPTIONAL)))
"""Names a column can be mapped to."""
_MBPP_COLUMNS = (*_MBPP, *_OPTIONAL[1:], "test", "challenge_test_list", "source_file")
"""Columns of MBPP and MBPP+, whether used or not."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkTask:
    """One task of a benchmark that is not ours."""

    task_id: str
    prompt: str
    entry_point: str
    check: str
    """Source that defines `check(candidate)` and asserts."""
    continues: bool
    """Whether the prompt is code that a completion may go on with."""
    solution: str | None
    """A right completion, where one is known."""
    unknown_names: tuple[str, ...] = ()
    """Names the check reads and does not define: it needs the program's, and cannot be run apart from it."""
    profile: str = "cpu"
    """The kind of sandbox that has what the check imports."""


def benchmark_task(row: Mapping[str, Any], columns: Mapping[str, str] | None = None) -> BenchmarkTask:
    """Read a row.

    Args:
        row: of a file or data set.
        columns: from our names to those of the row, where these differ.

    Raises:
        ValueError: one line: an unknown shape, or a column that is missing or makes no sense.
    """
    named = _renamed(row, columns or {})
    if all(named.get(column) is not None for column in _HUMAN_EVAL):
        return _of_human_eval(named)
    if named.get("prompt") is None and named.get("text") is not None:
        named["prompt"] = named["text"]
    if all(named.get(column) is not None for column in _MBPP):
        return _of_mbpp(named)
    raise ValueError(_unknown_shape(named, row))


def reject_unknown_mbpp_columns(row: Mapping[str, Any]) -> None:
    """Raise ValueError for a column that neither MBPP nor MBPP+ has, as where every key must have an effect."""
    reject_unknown_keys([key for key, value in row.items() if value is not None], _MBPP_COLUMNS)


def _renamed(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    if wrong := [name for name in columns if name not in COLUMNS]:
        raise ValueError(f"columns: there is no {wrong[0]}; a column can be named {', '.join(COLUMNS)}")
    if missing := [theirs for theirs in columns.values() if theirs not in row]:
        raise ValueError(f"column {missing[0]} is missing: there are {', '.join(map(str, row))}")
    return {**row, **{ours: row[theirs] for ours, theirs in columns.items()}}


def _unknown_shape(named: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Say what the row lacks of the shape it is nearest to."""
    is_mbpp = named.get("test_list") is not None
    shape, required = ("MBPP", _MBPP) if is_mbpp else ("HumanEval", _HUMAN_EVAL)
    missing = [column for column in required if named.get(column) is None]
    other = "" if is_mbpp else " (or MBPP's task_id, prompt and test_list)"
    return (
        f"column {', '.join(missing)} of {shape}'s shape is missing{other}: there are {', '.join(map(str, row))}; "
        f"name what differs as in --columns {missing[0]}=THEIRS"
    )


def _of_human_eval(row: Mapping[str, Any]) -> BenchmarkTask:
    entry_point = _text(row, "entry_point")
    if not entry_point.isidentifier():
        raise ValueError(f"entry_point must be the name of a function, not {entry_point!r:.80}")
    check = _text(row, "test")
    return BenchmarkTask(
        task_id=_task_id(row),
        prompt=_text(row, "prompt"),
        entry_point=entry_point,
        check=check,
        continues=True,
        profile=choose_check_profile(check),
        solution=_text(row, "canonical_solution") if row.get("canonical_solution") is not None else None,
    )


def _of_mbpp(row: Mapping[str, Any]) -> BenchmarkTask:
    asserts = _texts(row, "test_list")
    solution = _text(row, "code") if row.get("code") is not None else None
    imports = _texts(row, "test_imports") if row.get("test_imports") is not None else []
    setup = _text(row, "test_setup_code") if row.get("test_setup_code") is not None else ""
    suite = _text(row, "test") if row.get("test") is not None else ""
    preamble = "\n".join([*imports, setup])
    function = find_entry_point(asserts, preamble=preamble, solution=solution)
    check, unknown = _check_of_mbpp(asserts, suite, function, preamble)
    known_imports = find_imports(solution or "")
    if needed := [known_imports[name] for name in unknown if name in known_imports]:
        preamble = "\n".join([*needed, preamble])
        check, unknown = _check_of_mbpp(asserts, suite, function, preamble)
    return BenchmarkTask(
        task_id=_task_id(row),
        prompt="\n".join([_text(row, "prompt").strip(), "Your code should pass these tests:", *asserts]),
        entry_point=function,
        check=check,
        continues=False,
        solution=solution,
        unknown_names=tuple(unknown),
        profile=choose_check_profile(f"{preamble}\n{suite}"),
    )


def _check_of_mbpp(asserts: list[str], suite: str, function: str, preamble: str) -> tuple[str, list[str]]:
    """Write the check, of the suite where there is one; returns it and the names that it does not define."""
    if not suite.strip():
        check = write_check(asserts, function=function, preamble=preamble)
        return check, find_unknown_names(check)
    check = write_suite_check(suite, function=function, preamble=preamble)
    return check, find_unknown_names(f"{preamble}\n{function} = None\n{suite}")


def _task_id(row: Mapping[str, Any]) -> str:
    if type(row["task_id"]) not in (str, int):
        raise ValueError(f"task_id must be a string or an integer, not {row['task_id']!r:.80}")
    return str(row["task_id"])


def _text(row: Mapping[str, Any], column: str) -> str:
    """Take a text, with the line ends of Unix."""
    if not isinstance(row[column], str):
        raise ValueError(f"{column} must be a string, not {type(row[column]).__name__}")
    return row[column].replace("\r\n", "\n")


def _texts(row: Mapping[str, Any], column: str) -> list[str]:
    texts = row[column]
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{column} must be a list of strings")
    return [text.replace("\r\n", "\n").strip() for text in texts]
