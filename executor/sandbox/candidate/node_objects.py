"""Convert between objects of the classes TreeNode and ListNode and their plain records (see `sandbox.nodes`).

The classes are those of a namespace: the program's own or its prelude's, else the ones here. Nodes have the attributes
`val`, `left` and `right`, or `val` and `next`.
"""

from collections.abc import Callable
from typing import Any

from ..codec import MAX_NODES
from ..nodes import NodeValue

Namespace = dict[str, Any]
_get = object.__getattribute__


class TreeNode:
    """A node of a binary tree."""

    def __init__(self, val: Any = 0, left: "TreeNode | None" = None, right: "TreeNode | None" = None):
        self.val, self.left, self.right = val, left, right


class ListNode:
    """A node of a linked list."""

    def __init__(self, val: Any = 0, next: "ListNode | None" = None):
        self.val, self.next = val, next


def build_nodes(value: Any, namespace: Namespace) -> Any:
    """Replace records by node objects, also within lists, tuples and dictionaries; keep all other values."""

    def build(record: NodeValue) -> Any:
        return (_build_tree if record.tag == "$tree" else _build_list)(record.values, namespace)

    return _map_values(value, lambda item: build(item) if type(item) is NodeValue else item)


def read_nodes(value: Any, namespace: Namespace) -> Any:
    """Replace node objects by records, also within lists, tuples and dictionaries; keep all other values.

    Raises:
        ValueError: a tree or list has more than `MAX_NODES` nodes, as has one with a cycle.
        TypeError: a child is of another class, or an attribute is missing.
    """
    readers = (
        (namespace.get("TreeNode", TreeNode), _read_tree),
        (namespace.get("ListNode", ListNode), _read_list),
    )

    def read(item: Any) -> Any:
        for node_class, read_records in readers:
            if type(item) is node_class:
                return read_records(item, node_class)
        return item

    return _map_values(value, read)


def _map_values(value: Any, convert: Callable[[Any], Any]) -> Any:
    kind = type(value)
    if kind is list or kind is tuple:
        return kind([_map_values(item, convert) for item in value])
    if kind is dict:
        return {key: _map_values(item, convert) for key, item in value.items()}
    return convert(value)


def _build_tree(values: tuple[Any, ...], namespace: Namespace) -> Any:
    node_class = namespace.get("TreeNode", TreeNode)
    nodes = [None if value is None else node_class(value) for value in values]
    rest = iter(nodes)
    root = next(rest)
    for node in nodes:
        if node is not None:
            node.left, node.right = next(rest, None), next(rest, None)
    return root


def _build_list(values: tuple[Any, ...], namespace: Namespace) -> Any:
    node_class = namespace.get("ListNode", ListNode)
    head = None
    for value in reversed(values):
        node = node_class(value)
        node.next = head
        head = node
    return head


def _read_tree(root: Any, node_class: type) -> NodeValue:
    level, values = [root], []
    while level:
        values += [None if node is None else _read(node, "val", node_class) for node in level]
        if len(values) > MAX_NODES:
            raise ValueError(f"a tree of more than {MAX_NODES} nodes")
        level = [_read(node, side, node_class) for node in level if node is not None for side in ("left", "right")]
    while values[-1] is None:
        values.pop()
    return NodeValue("$tree", tuple(values))


def _read_list(node: Any, node_class: type) -> NodeValue:
    values = []
    while node is not None:
        values.append(_read(node, "val", node_class))
        if len(values) > MAX_NODES:
            raise ValueError(f"a linked list of more than {MAX_NODES} nodes")
        node = _read(node, "next", node_class)
    return NodeValue("$list", tuple(values))


def _read(node: Any, name: str, node_class: type) -> Any:
    """Read an attribute of a node where it lies; neither `__getattr__` nor `__getattribute__` of its class runs."""
    if type(node) is not node_class:
        raise TypeError(f"a node of type {type(node).__name__}")
    try:
        value = _get(node, name)
    except AttributeError:
        raise TypeError(f"a node without {name}") from None
    if name == "val" and not (type(value) in (bool, int, str) or (type(value) is float and value - value == 0.0)):
        raise TypeError(f"a node that holds a value of type {type(value).__name__}")
    return value
