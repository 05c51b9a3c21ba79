"""Syntax trees in a process that has threads.

CPython 3.11 before 3.11.8 keeps the depth of the tree it is building once for all threads. Where the garbage collector
runs a finalizer in between and another thread builds a tree meanwhile, `ast.parse` raises `SystemError: AST constructor
recursion depth mismatch` for a correct program (https://github.com/python/cpython/issues/106905). The functions here
try again. They run nothing.
"""

import ast

_ATTEMPTS = 20
_FLAGS = ast.PyCF_ONLY_AST


def parse_module(source: str, filename: str = "<unknown>") -> ast.Module:
    """Return the tree of a program.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `ast.parse` does.
    """
    return _build_tree(source, filename, "exec")  # type: ignore[return-value]


def parse_expression(source: str) -> ast.expr:
    """Return the tree of one expression.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `ast.parse` does.
    """
    return _build_tree(source, "<unknown>", "eval").body  # type: ignore[attr-defined]


def _build_tree(source: str, filename: str, mode: str) -> ast.AST:
    for _ in range(_ATTEMPTS - 1):
        try:
            return compile(source, filename, mode, _FLAGS, dont_inherit=True)  # type: ignore[return-value]
        except SystemError:
            continue  # another thread was building a tree
    return compile(source, filename, mode, _FLAGS, dont_inherit=True)  # type: ignore[return-value]
