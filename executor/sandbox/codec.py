"""Tagged values: how arguments and results travel between the host and the sandbox, and lie in data sets.

JSON values mean their JSON types. What JSON cannot say is tagged: `{"$tuple": [...]}`, `{"$set": [...]}`,
`{"$dict": [[key, value], ...]}` (keys that are not strings, or begin with `$`), `{"$float": "nan" | "inf" | "-inf"}`,
`{"$tensor": {"dtype", "shape", "data"}}` (`executor.sandbox.tensors`).
Between a program and a check there is more (`wide`), as asserts may compare more than tests can hold: `{"$complex":
[real, imaginary]}`, `{"$frozenset": [...]}`, `{"$type": "int"}`, and subclasses as the plain value they hold.
Standard library only: the same file runs inside the sandbox. It does not compare values (`executor.grading.compare` does).
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

try:
    from executor.sandbox.tensors import TensorValue, decode_tensor, encode_tensor
except ImportError:  # in the sandbox, where the files of ours lie side by side
    from .tensors import TensorValue, decode_tensor, encode_tensor

MAX_DEPTH = 64
MAX_NODES = 200_000
MAX_INT_BITS = 14_000
"""Below the 4300 digits at which Python refuses to print or parse an integer."""
MAX_EQUAL_HASHES = 64
"""Different elements of one set or dict. With n of them Python needs n * n steps, and integers of one hash are easily
written down, so more are refused before a set is made of them."""

_INT_BOUND = 1 << MAX_INT_BITS
_FLOATS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
_TYPES = {kind.__name__: kind for kind in (bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict)}
_WIDE_TAGS = ("$complex", "$frozenset", "$type")
_PLAIN: tuple[
    tuple[type, Callable[[Any], Any]], ...
] = (  # (base, what makes the plain value of a subclass without asking it)
    (int, int.__pos__),
    (float, float.__pos__),
    (complex, complex.__pos__),
    (str, str.__str__),
    (list, list.copy),
    (tuple, lambda value: tuple.__getitem__(value, slice(None))),
    (dict, dict.copy),
    (set, lambda value: set().union(value)),
    (frozenset, lambda value: frozenset().union(value)),
)


def encode_value(value: object, *, wide: bool = False) -> Any:
    """Turn a Python value into its tagged, JSON-able form. Sets come out sorted, so equal sets give equal bytes.

    Args:
        value: made of exactly None, bool, int, float, str, list, tuple, set and dict; subclasses are foreign.
        wide: take complex numbers, frozensets, Python's types and subclasses too, as between a program and a check.

    Raises:
        TypeError: it holds a value of another type.
        ValueError: it is deeper than `MAX_DEPTH`, has over `MAX_NODES` elements, or an integer over `MAX_INT_BITS`.
    """
    return _encode(value, MAX_DEPTH, [MAX_NODES], wide)


def _encode(value: Any, depth: int, budget: list[int], wide: bool) -> Any:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if -_INT_BOUND < value < _INT_BOUND:
            return value
        raise ValueError(f"an integer of over {MAX_INT_BITS} bits")
    if kind is float:
        if value - value == 0.0:
            return value
        return {"$float": "nan" if value != value else "inf" if value > 0 else "-inf"}
    if kind is not list and kind is not tuple and kind is not dict and kind is not set:
        return _encode_foreign(value, depth, budget, wide)
    budget[0] -= len(value)
    if depth == 0 or budget[0] < 0:
        raise ValueError(f"a value deeper than {MAX_DEPTH} levels or with over {MAX_NODES} elements")
    if kind is dict:
        return _encode_dict(value, depth - 1, budget, wide)
    items = [_encode(item, depth - 1, budget, wide) for item in value]
    if kind is list:
        return items
    if kind is tuple:
        return {"$tuple": items}
    return {"$set": sorted(items, key=_set_order)}


def _encode_foreign(value: Any, depth: int, budget: list[int], wide: bool) -> Any:
    """Encode a tensor, and what only `wide` takes."""
    kind = type(value)
    if kind is TensorValue:
        budget[0] -= len(value.data)
        if budget[0] < 0:
            raise ValueError(f"a value with over {MAX_NODES} elements")
        return encode_tensor(value)
    if wide and kind is complex:
        return {"$complex": [_encode(part, depth, budget, wide) for part in (value.real, value.imag)]}
    if wide and kind is frozenset:
        return {"$frozenset": _encode(set(value), depth, budget, wide)["$set"]}
    if wide and kind is type and _TYPES.get(value.__name__) is value:
        return {"$type": value.__name__}
    for base, make_plain in _PLAIN if wide else ():
        if isinstance(value, base) and kind is not base:
            return _encode(make_plain(value), depth, budget, wide)
    raise TypeError(f"a value of type {kind.__name__}")


def _encode_dict(value: dict, depth: int, budget: list[int], wide: bool) -> dict:
    if all(type(key) is str and not key.startswith("$") for key in value):
        return {key: _encode(item, depth, budget, wide) for key, item in value.items()}
    pairs = value.items()
    return {"$dict": [[_encode(key, depth, budget, wide), _encode(item, depth, budget, wide)] for key, item in pairs]}


def _set_order(item: Any) -> tuple[str, Any]:
    kind = type(item)
    return (kind.__name__, item if kind in (int, float, str) else json.dumps(item))


def decode_value(tagged: object, *, wide: bool = False) -> Any:
    """Turn a tagged form back into a Python value; every call makes fresh objects. `wide` as in `encode_value`.

    Raises:
        ValueError: an unknown or malformed tag, an unhashable set element or key, more than `MAX_EQUAL_HASHES` of one
            hash, or deeper than `MAX_DEPTH`.
    """
    return _decode(tagged, MAX_DEPTH, wide)


def _decode(tagged: Any, depth: int, wide: bool) -> Any:
    kind = type(tagged)
    if kind is not list and kind is not dict:
        if kind is str or kind is int or kind is float or kind is bool or tagged is None:
            return tagged
        raise ValueError(f"a value of type {kind.__name__} where JSON was expected")
    if depth == 0:
        raise ValueError(f"a value deeper than {MAX_DEPTH} levels")
    if kind is list:
        return [_decode(item, depth - 1, wide) for item in tagged]
    if any(type(key) is not str for key in tagged):
        raise ValueError("a JSON object with a key that is not a string")
    if not any(key.startswith("$") for key in tagged):
        return {key: _decode(item, depth - 1, wide) for key, item in tagged.items()}
    if len(tagged) != 1:
        raise ValueError(f"a tag beside other keys: {_shown(tagged)}; keys that begin with $ need the form $dict")
    [(tag, content)] = tagged.items()
    return _decode_tag(tag, content, depth - 1, wide)


def _decode_tag(tag: str, content: Any, depth: int, wide: bool) -> Any:
    if wide and tag in _WIDE_TAGS:
        return _decode_wide(tag, content, depth)
    if tag == "$float" and type(content) is str and content in _FLOATS:
        return _FLOATS[content]
    if tag == "$tensor":
        return decode_tensor(content)
    if tag not in ("$tuple", "$set", "$dict") or type(content) is not list:
        raise ValueError(
            f'malformed tag {_shown({tag: content})}; known are {{"$tuple": [...]}}, {{"$set": [...]}}, '
            '{"$dict": [[k, v], ...]}, {"$float": "nan"|"inf"|"-inf"} and {"$tensor": {...}}'
        )
    if tag == "$tuple":
        return tuple([_decode(item, depth, wide) for item in content])
    try:
        if tag == "$set":
            items = [_decode(item, depth, wide) for item in content]
            refuse_equal_hashes(items)
            return set(items)
        if any(type(pair) is not list or len(pair) != 2 for pair in content):
            raise ValueError(f"$dict takes a list of [key, value] pairs, not {_shown(content)}")
        keys = [_decode(key, depth, wide) for key, _ in content]
        refuse_equal_hashes(keys)
        return dict(zip(keys, [_decode(item, depth, wide) for _, item in content], strict=True))
    except TypeError as error:
        raise ValueError(f"{error} in {tag}; write tuples as $tuple") from None


def refuse_equal_hashes(items: Sequence[Any]) -> None:
    """Raise ValueError where over `MAX_EQUAL_HASHES` different items have one hash; TypeError where one has none."""
    crowded = {number for number, count in Counter(map(hash, items)).items() if count > MAX_EQUAL_HASHES}
    distinct: dict[int, set] = {number: set() for number in crowded}
    for item in items if crowded else ():
        if hash(item) in crowded:
            alike = distinct[hash(item)]
            alike.add(item)
            if len(alike) > MAX_EQUAL_HASHES:
                raise ValueError(f"over {MAX_EQUAL_HASHES} elements of equal hash in a set or dict")


def _decode_wide(tag: str, content: Any, depth: int) -> Any:
    if tag == "$type" and type(content) is str and content in _TYPES:
        return _TYPES[content]
    if tag == "$frozenset":
        return frozenset(_decode_tag("$set", content, depth, True))
    if tag == "$complex" and type(content) is list and len(content) == 2:
        parts = [_decode(part, depth, True) for part in content]
        if all(type(part) is float for part in parts):
            return complex(*parts)
    raise ValueError(f"malformed tag {_shown({tag: content})}")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "..."
    return text if len(text) <= 60 else text[:57] + "..."


def parse_json(text: str) -> Any:
    """Parse JSON from anywhere: NaN, numbers too long or too large, and bottomless nesting are ValueErrors."""
    try:
        return _STRICT.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f'{name} is not JSON; write {{"$float": ...}}')


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0.0:
        raise ValueError(f'{text[:40]} is beyond the floats; write {{"$float": "inf"}}')
    return value


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def parse_tagged(text: str, *, wide: bool = False) -> Any:
    """Parse the text of a tagged value and check its form; returns it still tagged. `wide` as in `encode_value`.

    Raises:
        ValueError: it is not JSON or not a tagged value.
    """
    tagged = parse_json(text)
    if "$" in text or "\\u0024" in text or text.count("[") + text.count("{") > MAX_DEPTH:
        decode_value(tagged, wide=wide)
    return tagged
