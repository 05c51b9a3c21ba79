"""Skeletons: what remains of a composition when constants are erased and parameters named in order of appearance.

A skeleton is spelled `sort(rotate(P0, C))`. It is read from a tree (`composition.skeleton`) or back from the text of a
program (`skeleton_of_program`), so that an audit need not believe what a data set says of itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

CONSTANT = "C"

Form = str | tuple[str, tuple["Form", ...]]
"""A leaf (`CONSTANT`, or any other string as the name of a parameter) or (function, arguments)."""


def spell(form: Form) -> str:
    """Write a form down with its parameters renamed `P0, P1, ...` in order of appearance."""
    names: dict[str, str] = {}

    def write(part: Form) -> str:
        if isinstance(part, tuple):
            return f"{part[0]}({', '.join(write(arg) for arg in part[1])})"
        return CONSTANT if part == CONSTANT else names.setdefault(part, f"P{len(names)}")

    return write(form)


def skeleton_of_program(source: str, entry_point: str = "solve") -> str:
    """Read the skeleton back from the body of the entry point: assignments of calls and one return.

    Raises:
        ValueError: the text does not parse, or its entry point is not such a composition.
    """
    return spell(form_of_function(entry_function(source, entry_point)))


def entry_function(source: str, entry_point: str = "solve") -> ast.FunctionDef:
    """Find the definition of the entry point.

    Raises:
        ValueError: the text does not parse or defines no such function.
    """
    try:
        module = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"the program is not Python: {error.msg} in line {error.lineno}") from None
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry_point:
            return node
    raise ValueError(f"the program defines no function {entry_point}")


def form_of_function(function: ast.FunctionDef) -> Form:
    """Read the form that a function's body composes.

    Raises:
        ValueError: the body holds something else than assignments of calls and one return.
    """
    bound: dict[str, Form] = {arg.arg: f"argument {arg.arg}" for arg in function.args.args}
    for statement in function.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            bound[statement.targets[0].id] = _form_of_expression(statement.value, bound)
        elif isinstance(statement, ast.Return) and statement.value is not None:
            return _form_of_expression(statement.value, bound)
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            break
    raise ValueError(f"the body of {function.name} is not a composition of calls")


def proper_subtrees(skeleton: str) -> frozenset[str]:
    """Return the skeletons of all calls strictly inside a skeleton."""
    expression = ast.parse(skeleton, mode="eval").body
    names = {node.id: node.id for node in ast.walk(expression) if isinstance(node, ast.Name) and node.id != CONSTANT}
    root = _form_of_expression(expression, {**names, CONSTANT: CONSTANT})
    return frozenset(spell(form) for form in _calls_of(root) if form is not root)


def _calls_of(form: Form) -> Iterator[Form]:
    if isinstance(form, tuple):
        yield form
        for arg in form[1]:
            yield from _calls_of(arg)


def _form_of_expression(node: ast.expr, bound: dict[str, Form]) -> Form:
    if isinstance(node, ast.Name) and node.id in bound:
        return bound[node.id]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return (node.func.id, tuple(_form_of_expression(arg, bound) for arg in node.args))
    try:
        ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{ast.unparse(node)!r} is neither a call, an argument nor a constant") from None
    return CONSTANT
