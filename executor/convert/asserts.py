"""Turn a list of asserts, as MBPP has them, into a check: source that defines `check(candidate)`, as HumanEval has it.

This module parses the asserts of a data set. It never parses what a model wrote, and it runs nothing.
"""

import ast
import builtins
import symtable
import textwrap
import warnings
from collections.abc import Iterator, Sequence

_BUILTINS = frozenset(dir(builtins)) | {"__name__", "__builtins__"}


def find_entry_point(asserts: Sequence[str], *, preamble: str = "", solution: str | None = None) -> str:
    """Find the function under test: every assert calls it, and it is the outermost, leftmost call of the first one.

    Args:
        asserts: source of at least one assert.
        preamble: source that runs before the asserts; the function is none of the names it binds.
        solution: source of a right program, or None. Where it parses, it defines the function.

    Raises:
        ValueError: one line; there is no assert, an assert does not parse, or no such function exists.
    """
    if not asserts:
        raise ValueError("there are no asserts")
    calls = [_find_called_names(source) for source in asserts]
    defined = None if solution is None else _find_functions(solution)
    if defined:
        wanted = [name for name in calls[0] if name in defined]
    else:
        foreign = _BUILTINS | _find_bound_names(_parse(preamble, "the code before the asserts"))
        wanted = [name for name in calls[0] if name not in foreign]
    if not wanted:
        raise ValueError(f"the assert {_shorten(asserts[0])} calls no function of the candidate")
    for name in wanted:
        if all(name in called for called in calls):
            return name
    other = next(source for source, called in zip(asserts, calls, strict=True) if wanted[0] not in called)
    raise ValueError(f"the assert {_shorten(other)} does not call {wanted[0]}, the function that the first one calls")


def write_check(asserts: Sequence[str], *, function: str, preamble: str = "") -> str:
    """Write a check that runs the preamble, then the asserts with `function` bound to the candidate.

    Raises:
        ValueError: one line; an assert or the preamble does not parse.
    """
    _parse(preamble, "the code before the asserts")
    # Unparsed statements hold no multi-line strings, so they can be indented.
    statements = [ast.unparse(_parse(source, "the assert")) for source in asserts]
    body = textwrap.indent("\n".join([f"{function} = candidate", *statements]), "    ")
    head = f"{preamble.rstrip()}\n\n\n" if preamble.strip() else ""
    return f"{head}def check(candidate):\n{body}\n"


def find_imports(solution: str) -> dict[str, str]:
    """Map each name that a program imports to the import statement; empty where the program does not parse."""
    try:
        body = ast.parse(solution).body
    except (SyntaxError, ValueError):
        return {}
    statements = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {
        (alias.asname or alias.name).split(".")[0]: ast.unparse(node) for node in statements for alias in node.names
    }


def find_unknown_names(source: str) -> list[str]:
    """List the names, sorted, that a source reads and neither it nor Python defines.

    The list is empty for a source with `from ... import *`, which may define anything.
    """
    tree = ast.parse(source)
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree)):
        return []
    given = _BUILTINS | _find_bound_names(tree)
    return sorted(set(_iterate_global_reads(symtable.symtable(source, "check", "exec"))) - given)


def _find_called_names(source: str) -> list[str]:
    """List the functions that an assert calls, the outermost first, then from left to right."""
    calls = [node for node in ast.walk(_parse(source, "the assert")) if isinstance(node, ast.Call)]
    return [node.func.id for node in calls if isinstance(node.func, ast.Name)]


def _find_functions(solution: str) -> set[str]:
    """Find the functions a program defines, or its classes if it has no functions; empty if it does not parse."""
    try:
        body = ast.parse(solution).body
    except (SyntaxError, ValueError):
        return set()
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return functions or {node.name for node in body if isinstance(node, ast.ClassDef)}


def _parse(source: str, what: str) -> ast.Module:
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
            return ast.parse(source.strip())
    except (SyntaxError, ValueError) as error:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ValueError(f"{what} {_shorten(source)} is no Python: {message}") from None


def _find_bound_names(tree: ast.Module) -> set[str]:
    """Find the names that a module binds at its top level, including those in branches and loops."""
    table = symtable.symtable(ast.unparse(tree), "module", "exec")
    return {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()} | {
        symbol.get_name() for symbol in table.get_symbols() if symbol.is_namespace()
    }


def _iterate_global_reads(table: symtable.SymbolTable) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _iterate_global_reads(child)


def _shorten(source: str) -> str:
    text = " ".join(source.split())
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
