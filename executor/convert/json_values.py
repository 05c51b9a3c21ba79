"""JSON of public data sets: integers of any length in and out, and plain values as tagged values.

Python refuses to convert more than 4300 digits between text and integers. `parse_json` and `write_json` convert longer
ones in pieces, so the limit of the interpreter stays as it is.
"""

import ast
import json
import math
import secrets
from collections.abc import Callable
from typing import Any

from executor.sandbox.codec import MAX_DEPTH

_PIECE = 4000
"""Digits that Python converts under any setting that it accepts from the environment's default."""
_LONGEST_INT = 10**_PIECE
MAX_LITERAL_CHARS = 8 << 20
"""Python parses source into nodes of about 100 bytes a character at worst: 8 MiB take up to 1 GiB."""


def parse_json(text: str, *, pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Parse JSON as Python writes it: NaN and infinities are floats, and integers may have any length.

    Raises:
        ValueError: the text is not JSON, or is nested too deeply.
    """
    try:
        try:
            return json.loads(text, object_pairs_hook=pairs_hook)
        except json.JSONDecodeError:
            raise
        except ValueError:  # an integer over the limit of the interpreter
            return json.loads(text, object_pairs_hook=pairs_hook, parse_int=parse_big_int)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_big_int(text: str) -> int:
    """Parse a decimal integer of any length by halves."""
    if text.startswith("-"):
        return -parse_big_int(text[1:])
    if len(text) <= _PIECE:
        return int(text)
    num_low = len(text) // 2
    return parse_big_int(text[:-num_low]) * 10**num_low + parse_big_int(text[-num_low:])


def format_big_int(value: int) -> str:
    """Write an integer of any length by halves."""
    if value < 0:
        return "-" + format_big_int(-value)
    if value < _LONGEST_INT:
        return str(value)
    num_low = int(value.bit_length() * math.log10(2)) // 2
    high, low = divmod(value, 10**num_low)
    return format_big_int(high) + format_big_int(low).zfill(num_low)


def parse_literal(text: str) -> Any:
    """Parse JSON or, where it is not JSON, a Python literal.

    Raises:
        ValueError: it is neither, or it is a Python literal of over `MAX_LITERAL_CHARS`.
    """
    try:
        return parse_json(text)
    except ValueError:
        pass
    if len(text) > MAX_LITERAL_CHARS:
        raise ValueError(f"a Python literal of over {MAX_LITERAL_CHARS} characters")
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise ValueError("neither JSON nor a Python literal") from None


def write_json(value: Any) -> str:
    """Write JSON with integers of any length; in ASCII, on one line."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        marker, numbers = secrets.token_hex(16), []
        parts = json.dumps(_replace_big_ints(value, marker, numbers), allow_nan=False).split(f'"{marker}"')
        return "".join(part + number for part, number in zip(parts, [*map(format_big_int, numbers), ""], strict=True))


def _replace_big_ints(value: Any, marker: str, numbers: list[int]) -> Any:
    if type(value) is int and not -_LONGEST_INT < value < _LONGEST_INT:
        numbers.append(value)
        return marker
    if isinstance(value, list):
        return [_replace_big_ints(item, marker, numbers) for item in value]
    if isinstance(value, dict):
        return {key: _replace_big_ints(item, marker, numbers) for key, item in value.items()}
    return value


def tag_value(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Turn a value of JSON or of a Python literal into a tagged value (`executor.sandbox.codec`).

    Raises:
        ValueError: it is nested deeper than the sandbox takes, or has a type that tags cannot express.
    """
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return (
            value if math.isfinite(value) else {"$float": "nan" if value != value else "inf" if value > 0 else "-inf"}
        )
    if depth == 0:
        raise ValueError(f"a value deeper than {MAX_DEPTH} levels")
    if kind is dict:
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: tag_value(item, depth - 1) for key, item in value.items()}
        return {"$dict": [[tag_value(key, depth - 1), tag_value(item, depth - 1)] for key, item in value.items()]}
    if kind not in (list, tuple, set):
        raise ValueError(f"a value of type {kind.__name__}")
    items = [tag_value(item, depth - 1) for item in value]
    return items if kind is list else {"$tuple" if kind is tuple else "$set": items}


def count_elements(value: Any) -> int:
    """Count the elements of a tagged value in all of its lists and objects."""
    if isinstance(value, dict):
        return len(value) + sum(map(count_elements, value.values()))
    return len(value) + sum(map(count_elements, value)) if isinstance(value, list) else 0
