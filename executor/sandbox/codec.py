"""Tagged values: the JSON form of arguments and results between host and sandbox, and in data sets.

JSON values represent their JSON types. Other values are tagged: `{"$tuple": [...]}`, `{"$set": [...]}`,
`{"$dict": [[key, value], ...]}` (keys that are not strings or begin with `$`), `{"$float": "nan" | "inf" | "-inf"}`,
`{"$int": "-?0x..."}` (integers of more than `MAX_PLAIN_INT_BITS`), `{"$tensor": {"dtype", "shape", "data"}}` (see
`tensors`), `{"$tree": [...]}` and `{"$list": [...]}` (see `nodes`).

Types are exact, but these encode as the dict or tuple they hold: `collections.Counter`, `OrderedDict` and `defaultdict`
themselves, and named tuples, i.e. direct subclasses of tuple with `_fields` that override none of its comparisons and
accessors. Other subclasses have no tagged form.

The extended form, used between a program and a check, adds `{"$complex": [real, imaginary]}`, `{"$frozenset": [...]}`,
`{"$type": "int"}`, and encodes instances of all subclasses as the builtin value they hold. Nothing is compared here.
"""

import json
import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from .nodes import NODE_TAGS, NodeValue, decode_nodes
from .tensors import NON_FINITE, TensorValue, decode_tensor, encode_non_finite, encode_tensor

MAX_DEPTH = 64
MAX_NODES = 1_000_000
MAX_INT_BITS = 1 << 22
MAX_PLAIN_INT_BITS = 14_000
"""Longest integer in decimal: below the 4300 digits beyond which Python does not print or parse one by default."""
MAX_EQUAL_HASHES = 64
"""Limit on distinct elements with the same hash in one set or dict, since building it takes quadratic time."""

_PLAIN_INT_BOUND = 1 << MAX_PLAIN_INT_BITS
_HEX = re.compile(r"-?0x[0-9a-f]+")
_DICT_TYPES = (Counter, OrderedDict, defaultdict)
_TUPLE_METHODS = (
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__iter__", "__getitem__", "__len__"),
    *("__contains__", "__getattribute__"),
)
_TYPES = {kind.__name__: kind for kind in (bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict)}
_EXTENDED_TAGS = ("$complex", "$frozenset", "$type")
_BUILTIN_VALUES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__pos__),
    (float, float.__pos__),
    (complex, complex.__pos__),
    (str, str.__str__),
    (list, list.copy),
    (tuple, lambda value: tuple.__getitem__(value, slice(None))),
    (dict, lambda value: dict(dict.items(value))),
    (set, lambda value: set().union(value)),
    (frozenset, lambda value: frozenset().union(value)),
)
"""By builtin base: makes the builtin value of an instance of a subclass, without calling its methods."""


def encode_value(value: object, *, extended: bool = False) -> Any:
    """Return the tagged form of a Python value. Sets are sorted, so equal sets have equal forms.

    Args:
        value: consists of exactly None, bool, int, float, str, list, tuple, set, dict, `TensorValue` and `NodeValue`,
            and of the subclasses named above.
        extended: also accept complex numbers, frozensets, builtin types and instances of subclasses.

    Raises:
        TypeError: it contains a value of another type.
        ValueError: it is deeper than `MAX_DEPTH`, has more than `MAX_NODES` elements, or has an integer of more than
            `MAX_INT_BITS`.
    """
    return _encode(value, MAX_DEPTH, [MAX_NODES], extended)


def _encode(value: Any, depth: int, budget: list[int], extended: bool) -> Any:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        return value if -_PLAIN_INT_BOUND < value < _PLAIN_INT_BOUND else _encode_long_int(value)
    if kind is float:
        return value if value - value == 0.0 else encode_non_finite(value)
    if kind is not list and kind is not tuple and kind is not dict and kind is not set:
        return _encode_foreign(value, depth, budget, extended)
    budget[0] -= len(value)
    if depth == 0 or budget[0] < 0:
        raise ValueError(f"a value deeper than {MAX_DEPTH} levels or with more than {MAX_NODES} elements")
    if kind is dict:
        return _encode_dict(value, depth - 1, budget, extended)
    items = [_encode(item, depth - 1, budget, extended) for item in value]
    if kind is list:
        return items
    if kind is tuple:
        return {"$tuple": items}
    return {"$set": sorted(items, key=_set_order)}


def _encode_foreign(value: Any, depth: int, budget: list[int], extended: bool) -> Any:
    """Encode a record, an instance of a subclass that counts as its base, or what only the extended form has."""
    kind = type(value)
    if any(kind is known for known in _DICT_TYPES):
        return _encode(dict(dict.items(value)), depth, budget, extended)
    if _is_named_tuple(value):
        return _encode(tuple.__getitem__(value, slice(None)), depth, budget, extended)
    if kind is NodeValue:
        has_long_int = any(type(item) is int and abs(item) >= _PLAIN_INT_BOUND for item in value.values)
        if has_long_int or len(value.values) > MAX_NODES:
            raise ValueError(f"over {MAX_NODES} nodes, or an integer of over {MAX_PLAIN_INT_BITS} bits in one")
        return {value.tag: list(value.values)}
    if kind is TensorValue:
        budget[0] -= len(value.data)
        if budget[0] < 0:
            raise ValueError(f"a value with more than {MAX_NODES} elements")
        return encode_tensor(value)
    if extended and kind is complex:
        return {"$complex": [_encode(part, depth, budget, extended) for part in (value.real, value.imag)]}
    if extended and kind is frozenset:
        return {"$frozenset": _encode(set(value), depth, budget, extended)["$set"]}
    if extended and kind is type and _TYPES.get(value.__name__) is value:
        return {"$type": value.__name__}
    for base, make_builtin in _BUILTIN_VALUES if extended else ():
        if isinstance(value, base) and kind is not base:
            return _encode(make_builtin(value), depth, budget, extended)
    raise TypeError(f"a value of type {kind.__name__}")


def _encode_long_int(value: int) -> dict[str, str]:
    if value.bit_length() > MAX_INT_BITS:
        raise ValueError(f"an integer of more than {MAX_INT_BITS} bits")
    return {"$int": hex(value)}


def _is_named_tuple(value: Any) -> bool:
    """Whether a value is a named tuple; calls nothing that its class may define."""
    kind = type(value)
    if type(kind) is not type or type.__dict__["__mro__"].__get__(kind) != (kind, tuple, object):
        return False
    defined = type.__dict__["__dict__"].__get__(kind)
    fields = defined.get("_fields")
    return (
        type(fields) is tuple
        and all(type(field) is str for field in fields)
        and len(fields) == tuple.__len__(value)
        and not any(name in defined for name in _TUPLE_METHODS)
    )


def _encode_dict(value: dict, depth: int, budget: list[int], extended: bool) -> dict:
    if all(type(key) is str and not key.startswith("$") for key in value):
        return {key: _encode(item, depth, budget, extended) for key, item in value.items()}
    return {"$dict": [[_encode(part, depth, budget, extended) for part in pair] for pair in value.items()]}


def _set_order(item: Any) -> tuple[str, Any]:
    kind = type(item)
    return (kind.__name__, item if kind in (int, float, str) else json.dumps(item))


def decode_value(tagged: object, *, extended: bool = False) -> Any:
    """Return a new Python value for a tagged form. `extended` as in `encode_value`.

    Raises:
        ValueError: a tag is unknown or malformed, a set element or key is unhashable, more than `MAX_EQUAL_HASHES` of
            them have the same hash, or the value is deeper than `MAX_DEPTH`.
    """
    return _decode(tagged, MAX_DEPTH, extended)


def _decode(tagged: Any, depth: int, extended: bool) -> Any:
    kind = type(tagged)
    if kind is not list and kind is not dict:
        if kind is str or kind is int or kind is float or kind is bool or tagged is None:
            return tagged
        raise ValueError(f"a value of type {kind.__name__} where JSON was expected")
    if depth == 0:
        raise ValueError(f"a value deeper than {MAX_DEPTH} levels")
    if kind is list:
        return [_decode(item, depth - 1, extended) for item in tagged]
    if any(type(key) is not str for key in tagged):
        raise ValueError("a JSON object with a key that is not a string")
    if not any(key.startswith("$") for key in tagged):
        return {key: _decode(item, depth - 1, extended) for key, item in tagged.items()}
    if len(tagged) != 1:
        raise ValueError(
            f"a tag together with other keys: {_abbreviate(tagged)}; keys that begin with $ need the form $dict"
        )
    [(tag, content)] = tagged.items()
    return _decode_tag(tag, content, depth - 1, extended)


def _decode_tag(tag: str, content: Any, depth: int, extended: bool) -> Any:
    if extended and tag in _EXTENDED_TAGS:
        return _decode_extended(tag, content, depth)
    if tag == "$float" and type(content) is str and content in NON_FINITE:
        return NON_FINITE[content]
    if tag == "$int" and type(content) is str and _HEX.fullmatch(content) is not None:
        return _decode_long_int(content)
    if tag == "$tensor":
        return decode_tensor(content)
    if tag in NODE_TAGS:
        return decode_nodes(tag, content)
    if tag not in ("$tuple", "$set", "$dict") or type(content) is not list:
        raise ValueError(
            f'malformed tag {_abbreviate({tag: content})}; known are {{"$tuple": [...]}}, {{"$set": [...]}}, '
            '{"$dict": [[k, v], ...]}, {"$float": "nan"|"inf"|"-inf"}, {"$int": "0x..."}, {"$tensor": {...}}, '
            '{"$tree": [...]} and {"$list": [...]}'
        )
    if tag == "$tuple":
        return tuple([_decode(item, depth, extended) for item in content])
    try:
        if tag == "$set":
            items = [_decode(item, depth, extended) for item in content]
            reject_hash_collisions(items)
            return set(items)
        if any(type(pair) is not list or len(pair) != 2 for pair in content):
            raise ValueError(f"$dict takes a list of [key, value] pairs, not {_abbreviate(content)}")
        keys = [_decode(key, depth, extended) for key, _ in content]
        reject_hash_collisions(keys)
        return dict(zip(keys, [_decode(item, depth, extended) for _, item in content], strict=True))
    except TypeError as error:
        raise ValueError(f"{error} in {tag}; write tuples as $tuple") from None


def _decode_long_int(text: str) -> int:
    if len(text) > MAX_INT_BITS // 4 + 3:
        raise ValueError(f"an integer of more than {MAX_INT_BITS} bits")
    return int(text, 16)


def reject_hash_collisions(items: Sequence[Any]) -> None:
    """Check items before a set or dict is made of them.

    Raises:
        ValueError: more than `MAX_EQUAL_HASHES` distinct items have the same hash.
        TypeError: an item is unhashable.
    """
    crowded = {number for number, count in Counter(map(hash, items)).items() if count > MAX_EQUAL_HASHES}
    distinct: dict[int, set] = {number: set() for number in crowded}
    for item in items if crowded else ():
        if hash(item) in crowded:
            same_hash = distinct[hash(item)]
            same_hash.add(item)
            if len(same_hash) > MAX_EQUAL_HASHES:
                raise ValueError(f"more than {MAX_EQUAL_HASHES} elements of a set or dict have the same hash")


def _decode_extended(tag: str, content: Any, depth: int) -> Any:
    if tag == "$type" and type(content) is str and content in _TYPES:
        return _TYPES[content]
    if tag == "$frozenset":
        return frozenset(_decode_tag("$set", content, depth, True))
    if tag == "$complex" and type(content) is list and len(content) == 2:
        real, imaginary = (_decode(part, depth, True) for part in content)
        if type(real) is type(imaginary) is float:
            return complex(real, imaginary)
    raise ValueError(f"malformed tag {_abbreviate({tag: content})}")


def _abbreviate(value: object) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or an integer of too many digits
        return "..."
    return text if len(text) <= 60 else text[:57] + "..."
