"""MBPP (`google-research-datasets/mbpp`), MBPP+ (`evalplus/mbppplus`) and AceCode (`TIGER-Lab/AceCode-87K`).

Asserts become a check: source that defines `check(candidate)` and binds the function's name to the candidate. The
function is the one that all asserts call. The suite of MBPP+ is in `test`; the check runs it as a module.

Provenance: MBPP is tested with its 974 rows, AceCode with a real row; MBPP+ is written from its card.
"""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from executor.convert.asserts import find_entry_point, write_mbpp_check
from executor.convert.build import add_labels
from executor.convert.columns import MalformedRow, SkipRow, check_list, read_lines, read_statement, read_text
from executor.convert.formats.humaneval import check_asserts, parse_test, read_task_id, replace_numpy
from executor.convert.programs import find_solution, strip_fence
from executor.syntax import parse_module


def convert_mbpp(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of MBPP, whose statement is in `text`, or `prompt` in its sanitized config.

    Raises:
        SkipRow: its asserts are about no one function or need names of the program, or it is malformed.
    """
    statement, asserts, preamble, code = read_mbpp_columns(row)
    function = _find_function(asserts, preamble=preamble, solution=code)
    check = _write_check(asserts, function=function, preamble=preamble, solution=code)
    return _build(row, statement, asserts, function=function, check=check, code=code)


def convert_mbpp_plus(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of MBPP+.

    Raises:
        SkipRow: as in `convert_mbpp`, or its test needs more of numpy than the stand-in has.
    """
    statement, asserts, preamble, code = read_mbpp_columns(row)
    function = _find_function(asserts, preamble=preamble, solution=code)
    suite = replace_numpy(read_text(row, "test").replace("\r\n", "\n"))
    if not any(isinstance(node, ast.Name) and node.id == function for node in ast.walk(parse_test(suite))):
        raise SkipRow("no tests")
    check = _write_check(asserts, function=function, preamble=preamble, suite=suite, solution=code)
    return _build(row, statement, asserts, function=function, check=check, code=code)


def convert_acecode(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of AceCode; the solution is the first inference that passed all of its tests.

    Raises:
        SkipRow: as in `convert_mbpp`.
    """
    name = read_text(row, "id").strip()
    if not name:
        raise MalformedRow("id is empty")
    statement = read_statement(row, "question")
    asserts = read_lines(row, "test_cases")
    inferences = row.get("inferences") or []
    if not all(isinstance(item, Mapping) for item in check_list(inferences, "inferences")):
        raise MalformedRow("inferences must be a list of objects")
    right = [strip_fence(read_text(item, "completion")) for item in inferences if item.get("pass_rate") == 1]
    code = find_solution(right) or ""
    function = _find_function(asserts, preamble="", solution=code)
    check = _write_check(asserts, function=function, solution=code)
    solution = find_solution(right, entry_point=function)
    task = {
        "task_id": name,
        "prompt": f"{statement}\n",
        "entry_point": function,
        "check": check,
        **({} if solution is None else {"solution": solution}),
    }
    source = read_text(row, "source", "")
    return add_labels(task, group=source, metadata={"source": source})


def read_mbpp_columns(row: Mapping[str, Any]) -> tuple[str, list[str], str, str]:
    """Read the statement, the asserts, the code that runs before them (`test_imports`, `test_setup_code`) and `code`.

    Raises:
        MalformedRow: a column is missing or of another type.
    """
    statement = read_statement(row, "text" if row.get("prompt") is None else "prompt")
    imports = [] if row.get("test_imports") is None else read_lines(row, "test_imports")
    preamble = "\n".join([*imports, read_text(row, "test_setup_code", "").replace("\r\n", "\n")])
    return statement, read_lines(row, "test_list"), preamble, read_text(row, "code", "").replace("\r\n", "\n")


def write_mbpp_prompt(statement: str, asserts: Sequence[str]) -> str:
    """Write the prompt of a task: the statement and the asserts, one a line."""
    return "\n".join([statement, "Your code should pass these tests:", *asserts])


def _find_function(asserts: Sequence[str], *, preamble: str, solution: str) -> str:
    if not asserts:
        raise SkipRow("no tests")
    try:
        for source in asserts:
            parse_module(source)
        parse_module(preamble)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise MalformedRow("an assert, or the code before it, is not Python") from None
    try:
        return find_entry_point(asserts, preamble=preamble, solution=solution or None)
    except ValueError:
        raise SkipRow("its asserts call no function of the program in common") from None


def _write_check(
    asserts: Sequence[str], *, function: str, preamble: str = "", suite: str = "", solution: str = ""
) -> str:
    check_asserts(suite or "\n".join(asserts))
    check, unknown = write_mbpp_check(asserts, function=function, preamble=preamble, suite=suite, solution=solution)
    if unknown:
        raise SkipRow("its asserts read names of the program other than the function", ", ".join(unknown))
    return check


def _build(
    row: Mapping[str, Any], statement: str, asserts: Sequence[str], *, function: str, check: str, code: str
) -> dict[str, Any]:
    solution = find_solution([code] if code else [], entry_point=function)
    task = {
        "task_id": read_task_id(row),
        "prompt": write_mbpp_prompt(statement, asserts) + "\n",
        "entry_point": function,
        "check": check,
        **({} if solution is None else {"solution": solution}),
    }
    return add_labels(task)
