"""Binary trees and linked lists as plain records: how they travel and lie in data sets.

`{"$tree": [1, null, 2]}` lists the values of a binary tree in level order, with null for a missing child and no entries
below a missing child, as on LeetCode; `{"$list": [1, 2]}` lists the values of a linked list. The empty tree and the
empty list are null. Standard library only: the same file runs inside the sandbox. It neither builds nor reads objects.
"""

import math
from dataclasses import dataclass
from typing import Any

NODE_TAGS = ("$tree", "$list")
_SCALARS = (bool, int, float, str)


@dataclass(frozen=True, slots=True)
class NodeValue:
    """A tree or a linked list without node objects: its tag, and its values as in the tagged form. Unhashable."""

    tag: str
    values: tuple[Any, ...]
    __hash__ = None  # pyright: ignore[reportAssignmentType]


def decode_nodes(tag: str, content: Any) -> NodeValue | None:
    """Read the content of a `$tree` or a `$list` tag, from anywhere; None for the empty tree and the empty list.

    Trailing nulls of a tree are dropped, so equal trees give equal records.

    Raises:
        ValueError: one line on what is malformed.
    """
    if type(content) is not list:
        raise ValueError(f"{tag} takes a list of values, not {type(content).__name__}")
    may_be_null = tag == "$tree"
    for position, value in enumerate(content):
        if not (_is_scalar(value) or (value is None and may_be_null)):
            wanted = "a number, a string, a boolean or null" if may_be_null else "a number, a string or a boolean"
            raise ValueError(f"{tag}: value {position} must be {wanted}")
    if may_be_null:
        content = _without_trailing_nulls(content)
        _check_parents(content)
    return NodeValue(tag, tuple(content)) if content else None


def _is_scalar(value: Any) -> bool:
    return type(value) in _SCALARS and not (type(value) is float and not math.isfinite(value))


def _without_trailing_nulls(values: list) -> list:
    end = len(values)
    while end and values[end - 1] is None:
        end -= 1
    return values[:end]


def _check_parents(values: list) -> None:
    """Raise ValueError for the first value that no node above it can have as a child."""
    num_places = 1
    for position, value in enumerate(values):
        if num_places == 0:
            raise ValueError(f"$tree: value {position} has no parent; missing children have no entries below them")
        num_places += 1 if value is not None else -1
