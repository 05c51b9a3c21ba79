"""Number of steps and tree shape of a composition, from its skeleton. Constants and parameters play no role."""

import ast
from typing import Literal, NamedTuple

from executor.syntax import parse_expression

Shape = Literal["chain", "left", "right", "balanced"]


class TreeShape(NamedTuple):
    """The form of a composition apart from its depth."""

    num_steps: int
    """Calls, i.e. lines of `solve`; above the depth where the tree branches."""
    shape: Shape


def parse_shape(skeleton: str) -> TreeShape:
    """Read the shape of a skeleton such as `zip_sum(sort(P0), rotate(reverse(P1), C))`.

    - chain: no call has more than one call among its arguments.
    - Otherwise the outermost call with several decides: `left` if the first of them is deeper than the last, `right` if
      the last is deeper, `balanced` if both are equally deep.

    Raises:
        ValueError: the text is no skeleton.
    """
    try:
        root = parse_expression(skeleton)
    except SyntaxError:
        root = None
    if not isinstance(root, ast.Call):
        raise ValueError(f"{skeleton!r} is not the skeleton of a composition")
    num_steps = sum(isinstance(node, ast.Call) for node in ast.walk(root))
    return TreeShape(num_steps, _find_shape(root))


def _find_shape(root: ast.Call) -> Shape:
    node = root
    while len(calls := _call_arguments(node)) == 1:
        node = calls[0]
    if not calls:
        return "chain"
    first, last = _depth(calls[0]), _depth(calls[-1])
    if first == last:
        return "balanced"
    return "left" if first > last else "right"


def _call_arguments(node: ast.Call) -> list[ast.Call]:
    return [arg for arg in node.args if isinstance(arg, ast.Call)]


def _depth(node: ast.Call) -> int:
    return 1 + max(map(_depth, _call_arguments(node)), default=0)
