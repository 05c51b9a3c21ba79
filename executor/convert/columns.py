"""Read columns of a foreign row with checks, and say why a row is skipped.

Reasons are counted, so they name columns and never positions or values.
"""

import math
import re
import sys
from collections.abc import Mapping
from typing import Any

from executor.convert.json_values import parse_json

_IMAGE = re.compile(
    r"!\[[^\]]{0,1000}\]\([^)]{0,4000}\)|</?(?:image|img)\b[^>]{0,4000}>|\[image\]", re.IGNORECASE
)  # bounded, or unclosed brackets would take quadratic time


class SkipRow(ValueError):
    """The row cannot become a task that can be graded.

    Args:
        reason: a few words that rows of the same kind share; the command prints a count for each reason.
        detail: what is wrong with this row, which the command prints for the first row of a reason.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class MalformedRow(SkipRow):
    """The row does not have the columns or types of its format.

    Args:
        why: names the column and what is wrong with it.
        detail: as in `SkipRow`.
    """

    def __init__(self, why: str, detail: str = ""):
        super().__init__(f"malformed: {why}", detail)


def read_text(row: Mapping[str, Any], column: str, default: str | None = None) -> str:
    """Read a string column.

    Args:
        row: the foreign row.
        column: its name.
        default: stands in for a missing column or null; None makes the column required.

    Raises:
        MalformedRow: the column is missing, or is not a string that UTF-8 can encode.
    """
    value = row.get(column)
    if value is None and default is not None:
        return default
    if value is None:
        raise MalformedRow(f"{column} is {'null' if column in row else 'missing'}")
    return check_text(value, column)


def read_statement(row: Mapping[str, Any], column: str) -> str:
    """Read the problem statement, with Unix line ends.

    Raises:
        SkipRow: the statement has no words, or none but images.
        MalformedRow: as in `read_text`.
    """
    statement = read_text(row, column).replace("\r\n", "\n").strip()
    if not statement:
        raise MalformedRow(f"{column} is empty")
    if not any(character.isalnum() for character in _IMAGE.sub("", statement)):
        raise SkipRow("the statement is an image only")
    return statement


def read_number(row: Mapping[str, Any], column: str) -> float | None:
    """Read a number column; None where it is missing, null or 0.

    Raises:
        MalformedRow: it is not a finite number of at least 0.
    """
    value = row.get(column)
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= sys.float_info.max:  # false for NaN
        raise MalformedRow(f"{column} must be a finite number of at least 0")
    return value or None


def read_lines(row: Mapping[str, Any], column: str) -> list[str]:
    """Read a required list of strings, each with Unix line ends and without white space around it.

    Raises:
        MalformedRow: it is missing or something else.
    """
    values = row.get(column)
    if values is None:
        raise MalformedRow(f"{column} is {'null' if column in row else 'missing'}")
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise MalformedRow(f"{column} must be a list of strings")
    return [check_text(value, f"an item of {column}").replace("\r\n", "\n").strip() for value in values]


def read_json(row: Mapping[str, Any], column: str) -> Any:
    """Read a column that holds JSON text.

    Raises:
        MalformedRow: the column is missing or its text is not JSON.
    """
    return check_json(read_text(row, column), column)


def read_mapping(row: Mapping[str, Any], column: str) -> Mapping[str, Any]:
    """Read a column that holds an object, or JSON text of one; an empty mapping where it is missing, null or empty.

    Raises:
        MalformedRow: it holds something else.
    """
    value = row.get(column)
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        value = check_json(value, column)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise MalformedRow(f"{column} must be an object")
    return value


def check_text(value: Any, what: str) -> str:
    """Return a string that UTF-8 can encode.

    Raises:
        MalformedRow: it is none.
    """
    if not isinstance(value, str):
        raise MalformedRow(f"{what} must be a string, not {_name_type(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise MalformedRow(f"{what} holds half of a surrogate pair") from None
    return value


def check_list(value: Any, what: str) -> list:
    """Return a list.

    Raises:
        MalformedRow: it is none.
    """
    if not isinstance(value, list):
        raise MalformedRow(f"{what} must be a list, not {_name_type(value)}")
    return value


def check_json(text: str, what: str) -> Any:
    """Parse JSON text.

    Raises:
        MalformedRow: it is not JSON.
    """
    try:
        return parse_json(text)
    except ValueError:
        raise MalformedRow(f"{what} is {'not JSON' if text.strip() else 'empty'}") from None


def _name_type(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def keep_small(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what is small and not empty: numbers, strings of up to 500 characters, and lists of up to 50 of them."""
    return {name: value for name, value in values.items() if _is_small(value)}


def _is_small(value: Any) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= 500
    if isinstance(value, list):
        return 0 < len(value) <= 50 and all(isinstance(item, str) and _is_small(item) for item in value)
    if type(value) is int:
        return value.bit_length() < 64
    return type(value) is bool or (type(value) is float and math.isfinite(value))
