"""LeetCodeDataset (`newfacade/LeetCodeDataset`).

A row's `test` becomes the check, and its `prompt`, which holds imports and helpers, the prelude. Nodes of trees and
linked lists do not pass between a program and a check; a check that makes any becomes method tests with `$tree` and
`$list` values.

Provenance: tested with the 1890 rows of its published training part.
"""

import ast
from collections.abc import Mapping
from typing import Any

from executor.convert.build import add_labels
from executor.convert.cases import choose_call_tolerance
from executor.convert.columns import MalformedRow, SkipRow, read_mapping, read_statement, read_text
from executor.convert.json_values import tag_value
from executor.convert.programs import choose_entry_point, find_solution
from executor.syntax import parse_module

PRELUDE = "leetcode"
_LABELS = ("difficulty", "question_id")
_NODES = {"tree_node": "$tree", "list_node": "$list"}
_NODE_EQUALITIES = frozenset({"is_same_tree", "is_same_list"})


def convert_leetcode(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of LeetCodeDataset.

    Raises:
        SkipRow: its check compares nodes in a way that tests cannot express, or it is malformed.
    """
    task_id = read_text(row, "task_id").strip()
    if not task_id:
        raise MalformedRow("task_id is empty")
    call, _, function = read_text(row, "entry_point").rpartition(".")
    if call not in ("Solution()", "Solution"):
        raise MalformedRow("entry_point must be Solution().NAME")
    entry_point = choose_entry_point(function, starter="class Solution", solutions=())
    prelude = read_text(row, "prompt", "").replace("\r\n", "\n")
    completion = read_text(row, "completion", "")
    solution = find_solution([completion], entry_point=entry_point)
    task = {
        "task_id": task_id,
        "prompt": read_statement(row, "query") + "\n",
        "entry_point": entry_point,
        **_convert_test(read_text(row, "test").replace("\r\n", "\n"), prelude),
        **({} if solution is None else {"solution": solution}),
    }
    labels = row if row.get("meta") is None else {**row, **read_mapping(row, "meta")}
    difficulty = read_text(labels, "difficulty", "")
    return add_labels(task, group=difficulty, metadata={name: labels.get(name) for name in _LABELS})


def _convert_test(test: str, prelude: str) -> dict[str, Any]:
    try:
        tree = parse_module(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise MalformedRow("test is not Python") from None
    checks = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    if not checks:
        raise MalformedRow("test does not define check")
    if not any(isinstance(node, ast.Assert) for node in ast.walk(checks[0])):
        raise SkipRow("no tests")
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if names.isdisjoint(_NODES):
        return {"check": f"{prelude.rstrip()}\n\n\n{test}" if prelude.strip() else test, "prelude": prelude}
    try:
        tests = [_read_assert(statement) for statement in checks[0].body]
    except (ValueError, AttributeError, KeyError, TypeError):
        raise SkipRow("its check compares nodes in a way that tests cannot express") from None
    return {"tests": tests, "float_tol": choose_call_tolerance(tests), "prelude": PRELUDE}


def _read_assert(statement: ast.stmt) -> dict[str, Any]:
    """Read `assert candidate(...) == VALUE` or `assert is_same_tree(candidate(...), NODES)`.

    Raises:
        ValueError: it has another form; AttributeError and TypeError likewise.
    """
    if not isinstance(statement, ast.Assert):
        raise ValueError("not an assert")
    comparison = statement.test
    if isinstance(comparison, ast.Call):
        if comparison.func.id not in _NODE_EQUALITIES:  # type: ignore[attr-defined]  # other nodes raise
            raise ValueError("another function")
        call, expected = comparison.args
    else:
        [operator], [expected] = comparison.ops, comparison.comparators  # type: ignore[attr-defined]
        if not isinstance(operator, ast.Eq):
            raise ValueError("another comparison")
        call = comparison.left  # type: ignore[attr-defined]
    if not isinstance(call, ast.Call) or call.func.id != "candidate":  # type: ignore[attr-defined]
        raise ValueError("not a call of the candidate")
    return {
        "args": [_read_value(arg) for arg in call.args],
        "kwargs": {str(keyword.arg): _read_value(keyword.value) for keyword in call.keywords},
        "expected": _read_value(expected),
    }


def _read_value(node: ast.expr) -> Any:
    """Read a literal, or `tree_node([...])` or `list_node([...])` as a tagged value; no nodes are null."""
    if isinstance(node, ast.Call):
        tag = _NODES[node.func.id]  # type: ignore[attr-defined]
        [values] = node.args
        items = ast.literal_eval(values)
        while tag == "$tree" and items and items[-1] is None:
            items = items[:-1]
        return {tag: tag_value(items)} if items else None
    return tag_value(ast.literal_eval(node))
