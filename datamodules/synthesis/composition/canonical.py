"""Canonical forms of programs, by which an audit compares them without trusting what a data set says about itself.

The *skeleton* of a composition erases constants and numbers its parameters in order of appearance, for example
`sort(rotate(P0, C))`. The *normalised hash* of a program ignores comments, layout, docstrings, the order of helper
functions, and the names of arguments and local variables. Names of functions count: a composition is its functions.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256

from executor.syntax import parse_expression, parse_module

CONSTANT = "C"

Form = str | tuple[str, tuple["Form", ...]]
"""A leaf (`CONSTANT`, or any other string as the name of a parameter) or (function, arguments)."""


def write_skeleton(form: Form) -> str:
    """Write a form as a skeleton, its parameters renamed to `P0, P1, ...` in order of appearance."""
    names: dict[str, str] = {}

    def write(part: Form) -> str:
        if isinstance(part, tuple):
            return f"{part[0]}({', '.join(write(arg) for arg in part[1])})"
        return CONSTANT if part == CONSTANT else names.setdefault(part, f"P{len(names)}")

    return write(form)


def parse_skeleton(source: str, entry_point: str = "solve") -> str:
    """Read the skeleton of a program from the body of its entry point: assignments of calls and one return.

    Raises:
        ValueError: the text does not parse, or its entry point is not such a composition.
    """
    return write_skeleton(_parse_form(find_function(source, entry_point)))


def find_function(source: str, name: str = "solve") -> ast.FunctionDef:
    """Find the definition of a top-level function.

    Raises:
        ValueError: the text does not parse or defines no such function.
    """
    for node in _parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise ValueError(f"the program defines no function {name}")


def find_proper_subtrees(skeleton: str) -> frozenset[str]:
    """Return the skeletons of all calls strictly inside a skeleton."""
    expression = parse_expression(skeleton)
    names = {node.id: node.id for node in ast.walk(expression) if isinstance(node, ast.Name) and node.id != CONSTANT}
    root = _parse_expression(expression, {**names, CONSTANT: CONSTANT})
    return frozenset(write_skeleton(form) for form in _iter_calls(root) if form is not root)


def normalised_hash(source: str) -> str:
    """Hash a program up to the names of its arguments and local variables.

    Raises:
        ValueError: the text is not Python.
    """
    module, lines = _parse(source), source.splitlines()
    parts = ["\n".join(lines[_first_line(node) - 1 : node.end_lineno]) for node in module.body]
    return sha256("\n".join(sorted(_normalise_statement(part) for part in parts)).encode()).hexdigest()


def _parse(source: str) -> ast.Module:
    try:
        return parse_module(source)
    except SyntaxError as error:
        raise ValueError(f"the program is not Python: {error.msg} in line {error.lineno}") from None


def _parse_form(function: ast.FunctionDef) -> Form:
    bound: dict[str, Form] = {arg.arg: f"argument {arg.arg}" for arg in function.args.args}
    for statement in function.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            bound[statement.targets[0].id] = _parse_expression(statement.value, bound)
        elif isinstance(statement, ast.Return) and statement.value is not None:
            return _parse_expression(statement.value, bound)
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            break
    raise ValueError(f"the body of {function.name} is not a composition of calls")


def _parse_expression(node: ast.expr, bound: dict[str, Form]) -> Form:
    if isinstance(node, ast.Name) and node.id in bound:
        return bound[node.id]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return (node.func.id, tuple(_parse_expression(arg, bound) for arg in node.args))
    try:
        ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{ast.unparse(node)!r} is neither a call, an argument nor a constant") from None
    return CONSTANT


def _iter_calls(form: Form) -> Iterator[Form]:
    if isinstance(form, tuple):
        yield form
        for arg in form[1]:
            yield from _iter_calls(arg)


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else []
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


@lru_cache(maxsize=1024)
def _normalise_statement(source: str) -> str:
    """Dump one top-level statement; cached, because helper functions recur in thousands of programs."""
    module = parse_module(source)
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            _Renamer(node).visit(node)
    return ast.dump(module)


class _Renamer(ast.NodeTransformer):
    """Numbers the names that a top-level function binds, in order of appearance, and drops docstrings."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self._function = function
        self._bound = {name for node in ast.walk(function) if node is not function for name in _find_bound_names(node)}
        self._numbers: dict[str, str] = {}

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if node is not self._function:
            node.name = self._number(node.name)
        if isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant) and len(node.body) > 1:
            node.body = node.body[1:]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._number(node.arg)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._number(node.id)
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        node.names = [self._number(name) for name in node.names]
        return node

    def _number(self, name: str) -> str:
        if name not in self._bound:
            return name
        return self._numbers.setdefault(name, f"name {len(self._numbers)}")


def _find_bound_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    return [node.name] if isinstance(node, ast.FunctionDef) else []
