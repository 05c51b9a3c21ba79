"""From a list of asserts, as MBPP has them, or a suite, as MBPP+ has it, to source that defines `check(candidate)`.

It parses the asserts of a benchmark, never what a model wrote, and runs nothing.
"""

import ast
import builtins
import symtable
import textwrap
from collections.abc import Iterator, Sequence

from executor.syntax import parse_module

_BUILTINS = frozenset(dir(builtins)) | {"__name__", "__builtins__"}


def find_entry_point(asserts: Sequence[str], *, preamble: str = "", solution: str | None = None) -> str:
    """Find the function that asserts are about: called in each of them, in the first one outermost and leftmost.

    Args:
        asserts: source of at least one.
        preamble: source that runs before them; names it defines or imports are excluded.
        solution: source of a right program, or None. Where it parses, the function is one that it defines.

    Raises:
        ValueError: there is no assert, one does not parse, or there is no such function; one line.
    """
    if not asserts:
        raise ValueError("there are no asserts")
    calls = [_called_names(source) for source in asserts]
    defined = None if solution is None else _find_functions(solution)
    if defined:
        wanted = [name for name in calls[0] if name in defined]
    else:
        foreign = _BUILTINS | _bound_names(_parsed(preamble, "the code before the asserts"))
        wanted = [name for name in calls[0] if name not in foreign]
    if not wanted:
        raise ValueError(f"the assert {_shown(asserts[0])} calls no function of the candidate")
    for name in wanted:
        if all(name in called for called in calls):
            return name
    other = next(source for source, called in zip(asserts, calls, strict=True) if wanted[0] not in called)
    raise ValueError(f"the assert {_shown(other)} does not call {wanted[0]}, the function that the first one calls")


def write_mbpp_check(
    asserts: Sequence[str], *, function: str, preamble: str = "", suite: str = "", solution: str = ""
) -> tuple[str, list[str]]:
    """Write the check of an MBPP or MBPP+ task: of its suite where there is one, else of its asserts.

    Imports of the solution that the check reads and nothing else defines are added to the preamble.

    Returns:
        The check, and names that it reads and does not define: names of the program itself.

    Raises:
        ValueError: an assert, the suite or the preamble does not parse; one line.
    """
    check, unknown = _write_mbpp_check(asserts, function, preamble, suite)
    imports = find_imports(solution) if unknown else {}
    if needed := [imports[name] for name in unknown if name in imports]:
        preamble = "\n".join([*dict.fromkeys(needed), preamble])
        check, unknown = _write_mbpp_check(asserts, function, preamble, suite)
    return check, unknown


def _write_mbpp_check(asserts: Sequence[str], function: str, preamble: str, suite: str) -> tuple[str, list[str]]:
    if not suite.strip():
        check = write_check(asserts, function=function, preamble=preamble)
        return check, find_unknown_names(check)
    check = write_suite_check(suite, function=function, preamble=preamble)
    return check, find_unknown_names(f"{preamble}\n{function} = None\n{suite}")


def write_check(asserts: Sequence[str], *, function: str, preamble: str = "") -> str:
    """Write a check that runs the preamble, then the asserts with `function` bound to the candidate.

    Raises:
        ValueError: an assert, or the preamble, does not parse; one line.
    """
    _parsed(preamble, "the code before the asserts")
    statements = [_statements(source) for source in asserts]
    body = textwrap.indent("\n".join([f"{function} = candidate", *statements]), "    ")
    head = f"{preamble.rstrip()}\n\n\n" if preamble.strip() else ""
    return f"{head}def check(candidate):\n{body}\n"


def write_suite_check(suite: str, *, function: str, preamble: str = "") -> str:
    """Write a check that runs the preamble, then a suite as a module in which `function` is the candidate.

    The suite stays as it is, in a string: suites hold large literals, which are slow to parse and to write.

    Raises:
        ValueError: the suite, or the preamble, does not parse; one line.
    """
    _parsed(preamble, "the code before the test")
    try:
        symtable.symtable(suite, "test", "exec")
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ValueError(f"test {_shown(suite)} is not valid Python: {reason}") from None
    head = f"{preamble.rstrip()}\n\n\n" if preamble.strip() else ""
    return (
        f"{head}SUITE = {suite!r}\n\n\ndef check(candidate):\n"
        f"    exec(compile(SUITE, '<test>', 'exec'), {{**globals(), {function!r}: candidate}})\n"
    )


def find_imports(solution: str) -> dict[str, str]:
    """Names a program imports, each with the statement that does; none where it does not parse."""
    try:
        body = parse_module(solution).body
    except (SyntaxError, ValueError):
        return {}
    statements = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {
        (alias.asname or alias.name).split(".")[0]: ast.unparse(node) for node in statements for alias in node.names
    }


def find_unknown_names(source: str) -> list[str]:
    """Names that a source reads and neither it nor Python defines; sorted.

    A source that imports `*` may define anything: then there are none.
    """
    if "*" in source and any(
        isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(parse_module(source))
    ):
        return []
    table = symtable.symtable(source, "check", "exec")
    return sorted(set(_global_reads(table)) - _BUILTINS - _names_bound_in(table))


def _called_names(source: str) -> list[str]:
    """Names of the functions an assert calls, the outermost first, then from left to right."""
    calls = [node for node in ast.walk(_parsed(source, "the assert")) if isinstance(node, ast.Call)]
    return [node.func.id for node in calls if isinstance(node.func, ast.Name)]


def _find_functions(solution: str) -> set[str]:
    """Functions a program defines; classes where there are no functions; none where it does not parse."""
    try:
        body = parse_module(solution).body
    except (SyntaxError, ValueError):
        return set()
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return functions or {node.name for node in body if isinstance(node, ast.ClassDef)}


def _statements(source: str) -> str:
    """Rewrite the statements of an assert so that no string spans lines and they can be indented."""
    return ast.unparse(_parsed(source, "the assert"))


def _parsed(source: str, what: str) -> ast.Module:
    try:
        return parse_module(source.strip())
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ValueError(f"{what} {_shown(source)} is not valid Python: {reason}") from None


def _bound_names(tree: ast.Module) -> set[str]:
    """Names that a module binds at its top level, in branches and loops too."""
    return _names_bound_in(symtable.symtable(ast.unparse(tree), "module", "exec"))


def _names_bound_in(table: symtable.SymbolTable) -> set[str]:
    return {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()} | {
        symbol.get_name() for symbol in table.get_symbols() if symbol.is_namespace()
    }


def _global_reads(table: symtable.SymbolTable) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _global_reads(child)


def _shown(source: str) -> str:
    text = " ".join(source.split())
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
