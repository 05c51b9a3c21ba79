"""Values of public data sets: JSON as Python writes it, Python literals, and plain values as tagged values."""

import ast
import json
import math
from collections.abc import Callable
from typing import Any

from executor.grading.tasks.values import parse_big_int
from executor.sandbox.codec import MAX_DEPTH

MAX_LITERAL_CHARS = 8 << 20
"""Python parses source into nodes of about 100 bytes a character at worst: 8 MiB take up to 1 GiB."""


def parse_json(text: str, *, pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Parse JSON as Python writes it: NaN and infinities are floats, and integers may be long (`parse_big_int`).

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


def tag_value(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Turn a value of JSON or of a Python literal into a tagged value, as task rows hold.

    Integers stay as they are: `executor.grading.tasks.values.prepare_value` tags long ones.

    Raises:
        ValueError: it is nested deeper than the sandbox takes, or has a type that tags cannot express.
    """
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": str(value)}
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
