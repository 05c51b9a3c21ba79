"""MBPP (`google-research-datasets/mbpp`), MBPP+ (`evalplus/mbppplus`) and AceCode (`TIGER-Lab/AceCode-87K`).

Asserts become a check: source that defines `check(candidate)` and binds the function's name to the candidate. The
function is the one that all asserts call. The suite of MBPP+ stands in `test` and runs at module level there.

Provenance: MBPP is tested with its 974 rows, AceCode with a real row; MBPP+ is written from its card.
"""

import ast
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from executor.convert.asserts import find_entry_point, find_imports, find_unknown_names, write_check
from executor.convert.build import add_labels
from executor.convert.columns import MalformedRow, SkipRow, check_list, check_text, read_statement, read_text
from executor.convert.formats.humaneval import check_asserts, parse_test, read_task_id, replace_numpy
from executor.convert.programs import find_solution, strip_fence


def convert_mbpp(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of MBPP, whose statement is in `text`, or `prompt` in its sanitized config.

    Raises:
        SkipRow: its asserts are about no one function or need names of the program, or it is malformed.
    """
    statement, asserts, preamble, code = _read_columns(row)
    function = _find_function(asserts, preamble=preamble, solution=code)
    check = _write_check(asserts, function=function, preamble=preamble, imports=find_imports(code))
    return _build(row, statement, asserts, function=function, check=check, code=code)


def convert_mbpp_plus(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of MBPP+.

    Raises:
        SkipRow: as in `convert_mbpp`, or its test needs more of numpy than the stand-in has.
    """
    statement, asserts, preamble, code = _read_columns(row)
    function = _find_function(asserts, preamble=preamble, solution=code)
    test = replace_numpy(read_text(row, "test").replace("\r\n", "\n"))
    check_asserts(test)
    check = _wrap_script(test, function)
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
    asserts = _read_texts(row, "test_cases")
    inferences = row.get("inferences") or []
    if not all(isinstance(item, Mapping) for item in check_list(inferences, "inferences")):
        raise MalformedRow("inferences must be a list of objects")
    right = [strip_fence(read_text(item, "completion")) for item in inferences if item.get("pass_rate") == 1]
    code = find_solution(right) or ""
    function = _find_function(asserts, preamble="", solution=code)
    check = _write_check(asserts, function=function, preamble="", imports=find_imports(code))
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


def _read_columns(row: Mapping[str, Any]) -> tuple[str, list[str], str, str]:
    """Read statement, asserts, the code before them and the solution."""
    statement = read_statement(row, "text" if row.get("prompt") is None or row.get("text") is not None else "prompt")
    imports = [] if row.get("test_imports") is None else _read_texts(row, "test_imports")
    preamble = "\n".join([*imports, read_text(row, "test_setup_code", "").replace("\r\n", "\n")])
    return statement, _read_texts(row, "test_list"), preamble, read_text(row, "code", "").replace("\r\n", "\n")


def _read_texts(row: Mapping[str, Any], column: str) -> list[str]:
    if row.get(column) is None:
        raise MalformedRow(f"{column} is {'null' if column in row else 'missing'}")
    values = check_list(row[column], column)
    return [check_text(value, f"an item of {column}").replace("\r\n", "\n").strip() for value in values]


def _find_function(asserts: Sequence[str], *, preamble: str, solution: str) -> str:
    if not asserts:
        raise SkipRow("no tests")
    try:
        for source in asserts:
            ast.parse(source)
        ast.parse(preamble)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise MalformedRow("an assert, or the code before it, is not Python") from None
    try:
        return find_entry_point(asserts, preamble=preamble, solution=solution or None)
    except ValueError:
        raise SkipRow("its asserts call no function of the program in common") from None


def _write_check(asserts: Sequence[str], *, function: str, preamble: str, imports: Mapping[str, str]) -> str:
    """Write a check, with those imports of the solution that its asserts read."""
    check = write_check(asserts, function=function, preamble=preamble)
    if needed := [imports[name] for name in find_unknown_names(check) if name in imports]:
        check = write_check(asserts, function=function, preamble="\n".join([*dict.fromkeys(needed), preamble]))
    if find_unknown_names(check):
        raise SkipRow("its asserts read names of the program other than the function")
    check_asserts(check)
    return check


def _build(
    row: Mapping[str, Any], statement: str, asserts: Sequence[str], *, function: str, check: str, code: str
) -> dict[str, Any]:
    solution = find_solution([code] if code else [], entry_point=function)
    task = {
        "task_id": read_task_id(row),
        "prompt": "\n".join([statement, "Your code should pass these tests:", *asserts]) + "\n",
        "entry_point": function,
        "check": check,
        **({} if solution is None else {"solution": solution}),
    }
    return add_labels(task)


def _wrap_script(test: str, function: str) -> str:
    """Move the statements of a script that name the function into `check(candidate)`.

    Raises:
        SkipRow: no statement names it.
    """
    lines = test.split("\n")
    kept, moved = [], []
    for node in parse_test(test).body:
        names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
        if function in names and not isinstance(node, ast.FunctionDef | ast.ClassDef):
            moved.append(ast.unparse(node))
        else:
            kept.append("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    if not moved:
        raise SkipRow("no tests")
    body = textwrap.indent("\n".join([f"{function} = candidate", *moved]), "    ")
    return "\n".join([*kept, "", "", "def check(candidate):", body, ""])
