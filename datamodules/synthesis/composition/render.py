"""Program texts of a composition: the sources of its atoms, then `solve` with one line per step.

Equal trees give equal text: layout and argument names are fixed, and variable names are a function of the tree. Two
variants run in the sandbox
only: `render_trace` also returns intermediate results, and `add_batch_entry_point` calls a function many times.
"""

from __future__ import annotations

from hashlib import sha256
from random import Random

from datamodules.synthesis.composition.tree import (
    ENTRY_POINT,
    Call,
    Constant,
    Node,
    Param,
    distinct_atoms,
    parameters,
    shortcuts,
    steps,
)

ARGUMENT_NAMES = "abc"
RESULT_NAMES = "xyzwvuts"
TRACE = "trace"
BATCH_ENTRY_POINT = "call_with_each"
_BATCH_SOURCE = """

def call_with_each(rows):
    results = []
    for row in rows:
        try:
            results.append([{function}(*row)])
        except Exception as error:
            results.append(type(error).__name__)
    return results
"""

_SHORTCUTS_SOURCE = """

def shortcuts({arguments}):
    results = []
    for shortcut in ({shorter}):
        try:
            results.append([shortcut()])
        except Exception:
            results.append(None)
    return results
"""


def render(tree: Call, *, names: str = RESULT_NAMES) -> str:
    """Return the whole program: sources of the distinct atoms, innermost first, and the entry point.

    Args:
        tree: a composition.
        names: variables for the results of the steps, in order; one letter each.
    """
    sources = [atom.source.rstrip("\n") for atom in distinct_atoms(tree)]
    return "\n\n\n".join([*sources, render_entry_function(tree, names=names)])


def render_entry_function(tree: Call, *, names: str = RESULT_NAMES) -> str:
    """Return the entry point alone, which calls the atoms without defining them."""
    calls = steps(tree)
    lines = [f"{name} = {_expression(call, tree, names)}" for name, call in zip(names, calls[:-1], strict=False)]
    body = "".join(f"\n    {line}" for line in [*lines, f"return {_expression(tree, tree, names)}"])
    return f"def {signature(tree)}:{body}\n"


def permute_names(tree: Call) -> str:
    """Permute `RESULT_NAMES` by a hash of the tree, so that the name of a step does not reveal its position."""
    seed = int.from_bytes(sha256(_nested(tree).encode()).digest()[:8], "big")
    return "".join(Random(seed).sample(RESULT_NAMES, len(RESULT_NAMES)))


def render_trace(tree: Call) -> str:
    """Return the solution with an additional function `trace(detailed, ...)`.

    With `detailed` it returns `[shortcuts, *steps]`: the result of each of the composition's `shortcuts` (`[value]`, or
    None after an exception), then the result of every step. Without, it returns a list with the last result.
    """
    names = RESULT_NAMES[: len(steps(tree))]
    arguments = ", ".join(argument_names(tree))
    lines = [f"{name} = {_expression(call, tree, names)}" for name, call in zip(names, steps(tree), strict=True)]
    lines.append(f"return [shortcuts({arguments}), {', '.join(names)}] if detailed else [{names[-1]}]")
    body = "".join(f"    {line}\n" for line in lines)
    shorter = "".join(f"lambda: {_nested(shortcut)}, " for shortcut in shortcuts(tree))
    helper = _SHORTCUTS_SOURCE.format(arguments=arguments, shorter=shorter)
    return f"{render(tree)}{helper}\n\ndef {TRACE}(detailed, {arguments}):\n{body}"


def add_batch_entry_point(source: str, function: str = ENTRY_POINT) -> str:
    """Append the entry point `call_with_each(rows)`: one result per row of arguments, `[value]` or an exception's name.

    One call instead of hundreds, because the sandbox returns the result of each call separately.
    """
    return source + _BATCH_SOURCE.replace("{function}", function)


def signature(tree: Call, *, typed: bool = True) -> str:
    """Return `solve(a: list[int], b: int) -> int`, or without types `solve(a, b)`."""
    if not typed:
        return f"{ENTRY_POINT}({', '.join(argument_names(tree))})"
    arguments = (f"{argument_name(param)}: {param.type_name}" for param in parameters(tree))
    return f"{ENTRY_POINT}({', '.join(arguments)}) -> {tree.atom.return_type}"


def argument_name(param: Param) -> str:
    """Return the name of a parameter: `a`, `b` or `c`."""
    return ARGUMENT_NAMES[param.index]


def argument_names(tree: Call) -> list[str]:
    """Return the names of all parameters in order."""
    return [argument_name(param) for param in parameters(tree)]


def step_number(tree: Call, call: Call) -> int:
    """Return the index of this call among the steps, by identity: equal sub-trees are separate steps."""
    return next(i for i, step in enumerate(steps(tree)) if step is call)


def _expression(call: Call, tree: Call, names: str) -> str:
    return f"{call.atom.name}({', '.join(_argument(arg, tree, names) for arg in call.args)})"


def _argument(arg: Node, tree: Call, names: str) -> str:
    if isinstance(arg, Constant):
        return repr(arg.value)
    return argument_name(arg) if isinstance(arg, Param) else names[step_number(tree, arg)]


def _nested(node: Node) -> str:
    if isinstance(node, Call):
        return f"{node.atom.name}({', '.join(_nested(arg) for arg in node.args)})"
    return argument_name(node) if isinstance(node, Param) else repr(node.value)
