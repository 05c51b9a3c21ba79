"""The values in task rows: strict JSON with integers of any length, and validation of tagged values.

An integer of more than `MAX_PLAIN_INT_BITS` bits travels as `{"$int": "0x..."}`: hexadecimal digits are read and
written in linear time and do not fall under Python's limit of 4300 decimal digits, which stays in force here. Nothing
here runs in a sandbox, and nothing here reads what a program wrote.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any

from executor.sandbox.codec import (
    MAX_DEPTH,
    MAX_INT_BITS,
    MAX_PLAIN_INT_BITS,
    decode_value,
)
from executor.sandbox.nodes import NODE_TAGS, decode_nodes
from executor.strict_json import parse_finite, reject_constant

_MAX_INT_DIGITS = 1_262_612
_DIGITS_PER_CHUNK = 2048
_PLAIN_BOUND = 1 << MAX_PLAIN_INT_BITS
_MAX_NESTING = 4 * MAX_DEPTH
"""Levels of JSON in a value of `MAX_DEPTH` levels: `$dict` takes three for one."""
_HEX = re.compile(r"-?0x[0-9a-f]+")


def parse_big_int(text: str) -> int:
    """Convert the text of a JSON integer of any length up to `MAX_INT_BITS`, in less than quadratic time.

    `int(text)` takes 5 s for a million digits on Python 3.11 and fails above 4300 digits by default; this takes 2 s.

    Args:
        text: an optional minus sign and ASCII digits.

    Raises:
        ValueError: the integer is too long.
    """
    digits = text.removeprefix("-")
    if len(digits) > _MAX_INT_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits; {_MAX_INT_DIGITS} are allowed")
    first = len(digits) % _DIGITS_PER_CHUNK
    starts = ([0] if first else []) + list(range(first, len(digits), _DIGITS_PER_CHUNK))
    ends = starts[1:] + [len(digits)]
    parts = [int(digits[start:end]) for start, end in zip(starts, ends, strict=True)][::-1]
    base = 10**_DIGITS_PER_CHUNK
    while len(parts) > 1:  # join neighbours, the least significant part first
        parts += [0] * (len(parts) % 2)
        parts = [low + high * base for low, high in zip(parts[::2], parts[1::2], strict=True)]
        if len(parts) > 1:
            base *= base
    return -parts[0] if text.startswith("-") else parts[0]


def parse_row_json(text: str, *, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Parse the JSON of rows. NaN, floats out of range and bottomless nesting are errors.

    Args:
        text: JSON; integers may have any length up to `MAX_INT_BITS`.
        object_pairs_hook: as in `json.loads`.

    Raises:
        ValueError: the text is not such JSON.
    """
    decoder = json.JSONDecoder(
        parse_int=_parse_int,
        parse_float=parse_finite,
        parse_constant=reject_constant,
        object_pairs_hook=object_pairs_hook,
    )
    try:
        return decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _parse_int(text: str) -> int:
    return int(text) if len(text) <= _DIGITS_PER_CHUNK else parse_big_int(text)


def prepare_value(value: Any) -> Any:
    """Check a tagged value of a row and bring it into the form that travels to the sandbox.

    Long integers become `{"$int": "0x..."}`, floats that JSON cannot write become `{"$float": ...}`, the empty `$tree`
    and `$list` become null, and trailing nulls of a `$tree` are dropped.

    Args:
        value: as parsed from JSON, or plain Python objects of the same form; it is not changed.

    Raises:
        ValueError: one line on what is malformed.
    """
    prepared = _prepare(value, _MAX_NESTING)
    decode_value(prepared)
    return prepared


def show(value: Any) -> str:
    """Shorten a value for an error message. Integers may be too long for `repr`."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"<{type(value).__name__} too large to show>"
    return text if len(text) <= 80 else f"{text[:77]}..."


def holds_tensor(value: Any) -> bool:
    """Whether a prepared value contains a tensor."""
    if type(value) is dict:
        return "$tensor" in value or any(map(holds_tensor, value.values()))
    return type(value) is list and any(map(holds_tensor, value))


def _prepare(value: Any, nesting: int) -> Any:
    kind = type(value)
    if kind is int:
        return value if -_PLAIN_BOUND < value < _PLAIN_BOUND else _tag_int(value)
    if kind is float and not math.isfinite(value):
        return {"$float": str(value)}
    if kind is not list and kind is not dict:
        return value
    if nesting == 0:
        raise ValueError(f"a value deeper than {MAX_DEPTH} levels")
    if kind is list:
        return [_prepare(item, nesting - 1) for item in value]
    if len(value) == 1:
        [(tag, content)] = value.items()
        if tag == "$int":
            return _prepare_int(content)
        if tag in NODE_TAGS:
            return _prepare_nodes(tag, content)
    return {key: _prepare(item, nesting - 1) for key, item in value.items()}


def _tag_int(value: int) -> dict[str, str]:
    if value.bit_length() > MAX_INT_BITS:
        raise ValueError(f"an integer of {value.bit_length()} bits; {MAX_INT_BITS} are allowed")
    return {"$int": hex(value)}


def _prepare_int(content: Any) -> Any:
    if type(content) is not str or _HEX.fullmatch(content) is None:
        raise ValueError('$int takes lower-case hexadecimal digits, as in {"$int": "0x1f"} or {"$int": "-0x1f"}')
    return _prepare(int(content, 16), 0)


def _prepare_nodes(tag: str, content: Any) -> Any:
    nodes = decode_nodes(tag, content)
    if nodes is None:
        return None
    for position, value in enumerate(nodes.values):
        if type(value) is int and value.bit_length() > MAX_PLAIN_INT_BITS:
            raise ValueError(f"{tag}: value {position} is an integer of over {MAX_PLAIN_INT_BITS} bits")
    return {tag: list(nodes.values)}
