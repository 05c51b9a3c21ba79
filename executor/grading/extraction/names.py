"""Names that a syntax tree defines and needs, found without running it.

Scopes are not resolved: a name that is bound anywhere in a source counts as known everywhere in it.
"""

import ast
import builtins
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

BUILTINS = frozenset(dir(builtins)) | {"__file__", "__annotations__", "__builtins__"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """The name a program must define, and the method of it where that is a class."""

    name: str
    method: str | None = None

    @classmethod
    def from_text(cls, text: str) -> "EntryPoint":
        """Read `f`, `Solution.f` or `Solution().f`."""
        name, _, method = text.partition(".")
        return cls(name.removesuffix("()"), method or None)


class Definition(IntEnum):
    """How a source defines an entry point."""

    NONE = 0
    IMPORT = 1
    """By an import alone, or by a class without the method."""
    STUB = 2
    """A function without statements."""
    FULL = 3


def find_definition(tree: ast.Module, entry: EntryPoint) -> Definition:
    """Say how the module level of a source, its branches included, defines an entry point; the best counts."""
    found = Definition.NONE
    for node in _bindings(tree.body):
        if isinstance(node, ast.alias):
            if _alias_name(node) == entry.name:
                found = max(found, Definition.IMPORT)
        elif entry.name in _collect_names(node):
            found = max(found, _rank(node, entry))
    return found


def bound_names(tree: ast.Module) -> set[str]:
    """Return the names that running a module binds; `*` where it has a star import."""
    names = {name for node in _bindings(tree.body) for name in _collect_names(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            names.update(node.names)
    return names


def missing_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that statements read, in function bodies too, and that neither they nor Python define."""
    read: set[str] = set()
    bound: set[str] = set()
    for root in nodes:
        for node in ast.walk(root):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                read.add(node.id)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            else:
                bound.update(_collect_names(node))
    return read - bound - BUILTINS


def returns_outside_function(tree: ast.Module) -> bool:
    """Say whether a statement of the module level returns or yields, which parses and does not compile."""
    stack: list[ast.AST] = list(tree.body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            stack.extend(ast.iter_child_nodes(node))
    return False


def has_statements(tree: ast.Module) -> bool:
    """Say whether a source does anything: words and values that happen to parse do not."""
    return any(
        not isinstance(statement, ast.Expr | ast.AnnAssign | ast.Pass) or has_call(statement) for statement in tree.body
    )


def has_call(node: ast.AST) -> bool:
    """Say whether a node has an expression with an effect."""
    effects = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)
    return any(isinstance(inner, effects) for inner in ast.walk(node))


def called_names(tree: ast.Module) -> set[str]:
    """Return the names of the functions and methods that a source calls, and of the attributes that it reads."""
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return names | {func.id for func in calls if isinstance(func, ast.Name)}


def _rank(node: ast.AST, entry: EntryPoint) -> Definition:
    if isinstance(node, ast.ClassDef) and entry.method is not None:
        methods = [inner for inner in _bindings(node.body) if entry.method in _collect_names(inner)]
        if methods:
            return max(_rank(method, EntryPoint(entry.method)) for method in methods)
        return Definition.FULL if node.bases else Definition.IMPORT
    if isinstance(node, _FUNCTIONS) and all(map(_is_empty, node.body)):
        return Definition.STUB
    return Definition.FULL


def _is_empty(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Raise):
        error = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return isinstance(error, ast.Name) and error.id == "NotImplementedError"
    return isinstance(statement, ast.Pass)


def _bindings(statements: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """Yield the nodes that may bind names in the scope of some statements."""
    stack: list[ast.AST] = list(statements)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, _SCOPES):
            stack.extend(ast.iter_child_nodes(node))


def _collect_names(node: ast.AST) -> tuple[str, ...]:
    """Return the names that a node itself binds."""
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        return (node.name,)
    if isinstance(node, ast.Name):
        return (node.id,) if isinstance(node.ctx, ast.Store) else ()
    if isinstance(node, ast.alias):
        return (_alias_name(node),)
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return (node.name,) if node.name else ()
    if isinstance(node, ast.MatchMapping):
        return (node.rest,) if node.rest else ()
    return ()


def _alias_name(alias: ast.alias) -> str:
    return alias.asname or alias.name.split(".")[0]
