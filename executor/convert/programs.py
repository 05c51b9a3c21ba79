"""Read solutions and starter code: which parse as Python 3, what they define, and in which form a task is called.

The solutions of a data set are parsed and never run, so "right" means here: listed as right, and Python 3 that defines
what the task calls.
"""

import ast
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterable

from executor.convert.columns import MalformedRow, SkipRow, check_text
from executor.syntax import parse_module
from executor.types import DEFAULT_LIMITS

CALL_PRELUDE = """\
import bisect
import collections
import copy
import fractions
import functools
import heapq
import itertools
import math
import operator
import random
import re
import string
import sys
import time
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from functools import lru_cache
from heapq import *
from itertools import accumulate, combinations, permutations, product
from math import ceil, cos, exp, fabs, floor, gcd, log, log2, sin, sqrt, tan
from typing import *
"""
"""Imports that the harness of APPS puts before a program, but for numpy, and modules LeetCode programs presume."""

_PYTHON_2_NAMES = frozenset({"basestring", "long", "raw_input", "reload", "unichr", "unicode", "xrange"})
_OPENING = re.compile(r"[ \t]*(`{3,}|~{3,})[^`]*")
_CLOSING = re.compile(r"[ \t]*(`{3,}|~{3,})[`~]*[ \t]*")
_SOLUTION_CLASS = re.compile(r"^class[ \t]+Solution\b", re.MULTILINE)


def strip_fence(text: str) -> str:
    """Return the last fenced block of a text, or the whole text where there is no fence."""
    lines = text.replace("\r\n", "\n").split("\n")
    block: list[str] | None = None
    unclosed: dict[str, int] = {}  # length of the shortest fence that nothing closes, so that no search is repeated
    position = 0
    while position < len(lines):
        opening = _OPENING.fullmatch(lines[position])
        position += 1
        if opening is None or len(opening[1]) >= unclosed.get(opening[1][0], sys.maxsize):
            continue
        end = _find_closing(lines, position, opening[1])
        if end is None:
            unclosed[opening[1][0]] = len(opening[1])
        else:
            block, position = lines[position:end], end + 1
    return text if block is None else "".join(f"{line}\n" for line in block)


def _find_closing(lines: list[str], start: int, fence: str) -> int | None:
    for index in range(start, len(lines)):
        closing = _CLOSING.fullmatch(lines[index])
        if closing is not None and closing[1].startswith(fence):
            return index
    return None


def choose_entry_point(function: str, *, starter: str, solutions: Iterable[str]) -> str:
    """Choose between a bare function and a method of `class Solution`.

    The starter code decides; where it defines neither, most of the solutions do; otherwise the function is bare.

    Raises:
        MalformedRow: the name is no identifier.
        SkipRow: it is a special method, as in problems that ask for a class.
    """
    if not function.isidentifier():
        raise MalformedRow("the name of the function is no identifier")
    if function.startswith("__"):
        raise SkipRow("the function is a special method")
    method = f"Solution.{function}"
    if _SOLUTION_CLASS.search(starter):
        return method
    if re.search(rf"^def[ \t]+{re.escape(function)}\b", starter, re.MULTILINE):
        return function
    defined = Counter(
        name
        for tree in map(parse_program, solutions)
        if tree is not None
        for name in (function, method)
        if defines_entry_point(tree, name)
    )
    return method if defined[method] > defined[function] else function


def find_solution(solutions: Iterable[str], *, entry_point: str | None = None) -> str | None:
    """Find the first solution that is Python 3, imports the standard library only and defines the entry point.

    Returns:
        Its source with Unix line ends; None where no solution is like that.
    """
    for source in solutions:
        tree = parse_program(source)
        if tree is None or not _find_imported_modules(tree) <= sys.stdlib_module_names:
            continue
        if entry_point is None or defines_entry_point(tree, entry_point):
            return source.replace("\r\n", "\n")
    return None


def parse_program(source: str) -> ast.Module | None:
    """Parse a solution; None where it is not Python 3 or longer than the sandbox takes."""
    if len(source.encode("utf-8", "surrogatepass")) > DEFAULT_LIMITS.source_bytes:
        return None
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
            tree = parse_module(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in _PYTHON_2_NAMES]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return None if not tree.body or any(node.id not in bound for node in names) else tree


def defines_entry_point(tree: ast.Module, entry_point: str) -> bool:
    """Whether a program binds `f`, or a class `Solution` with a method `f` (inherited ones do not count)."""
    owner, _, function = entry_point.rpartition(".")
    if not owner:
        return function in _find_names(tree.body)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner]
    return any(function in _find_names(node.body) for node in classes)


def write_prompt(statement: str, *, starter: str = "", entry_point: str | None = None) -> str:
    """Write a prompt that says what the program is: the starter code, or how the program is called."""
    if starter.strip():
        code = starter.replace("\r\n", "\n").rstrip()
        return f"{statement}\n\nStart from this code:\n\n```python\n{code}\n```\n"
    if entry_point is None:
        return f"{statement}\n\nWrite a Python program that reads standard input and writes standard output.\n"
    owner, _, function = entry_point.rpartition(".")
    where = f" as a method of `class {owner}`" if owner else ""
    return f"{statement}\n\nWrite the Python function `{function}`{where}.\n"


def check_solutions(values: list, column: str) -> list[str]:
    """Check a list of programs; fences around them are removed.

    Raises:
        MalformedRow: one is not a string.
    """
    return [strip_fence(check_text(value, f"an item of {column}")) for value in values]


def _find_imported_modules(tree: ast.Module) -> set[str]:
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    froms = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = [*froms, *(alias.name for node in imports for alias in node.names)]
    return {name.partition(".")[0] for name in names}


def _find_names(body: list[ast.stmt]) -> set[str]:
    names = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    return names | {target.id for target in targets if isinstance(target, ast.Name)}
