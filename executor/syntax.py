"""Syntax trees in a process that has threads.

CPython 3.11 before 3.11.8 keeps the depth of the tree it is building once for all threads. Where the garbage collector
runs a finalizer in between and another thread builds a tree meanwhile, `ast.parse` raises `SystemError: AST constructor
recursion depth mismatch` for a correct program (https://github.com/python/cpython/issues/106905). The functions here
try again. They run nothing.
"""

import ast
from contextlib import suppress
from typing import Any

_ATTEMPTS = 20


def parse_module(source: str, filename: str = "<unknown>") -> ast.Module:
    """Return the tree of a program.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `ast.parse` does.
    """
    return _build_tree(source, filename, "exec")


def parse_expression(source: str) -> ast.expr:
    """Return the tree of one expression.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `ast.parse` does.
    """
    return _build_tree(source, "<unknown>", "eval").body


def _build_tree(source: str, filename: str, mode: str) -> Any:
    for _ in range(_ATTEMPTS - 1):
        with suppress(SystemError):  # another thread was building a tree
            return ast.parse(source, filename, mode)
    return ast.parse(source, filename, mode)
