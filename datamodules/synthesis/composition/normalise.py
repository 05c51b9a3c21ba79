"""Programs up to names: a hash of the syntax tree in which arguments and local names are numbered.

Comments, layout, docstrings and the order of helper functions do not count either. Names of functions do: a
composition is its functions.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from hashlib import sha256


def normalised_hash(source: str) -> str:
    """Hash a program up to the names of its arguments and local variables.

    Raises:
        ValueError: the text is not Python.
    """
    try:
        module = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"the program is not Python: {error.msg} in line {error.lineno}") from None
    lines = source.splitlines()
    parts = ["\n".join(lines[_first_line(node) - 1 : node.end_lineno]) for node in module.body]
    return sha256("\n".join(sorted(_normalised_statement(part) for part in parts)).encode()).hexdigest()


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else []
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


@lru_cache(maxsize=1024)
def _normalised_statement(source: str) -> str:
    """Dump one top-level statement; helpers recur in thousands of programs, hence the cache."""
    module = ast.parse(source)
    for node in module.body:
        if isinstance(node, ast.FunctionDef):
            _Renamer(node).visit(node)
    return ast.dump(module)


class _Renamer(ast.NodeTransformer):
    """Numbers the names that a top-level function binds, in order of appearance, and drops docstrings."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self._function = function
        self._bound = {name for node in ast.walk(function) if node is not function for name in _names_bound(node)}
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


def _names_bound(node: ast.AST) -> list[str]:
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    return [node.name] if isinstance(node, ast.FunctionDef) else []
