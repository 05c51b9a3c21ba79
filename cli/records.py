"""From the mapping of a YAML file to a record (a frozen dataclass of plain values and records), strictly."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from cli.errors import UsageError, did_you_mean

Record = TypeVar("Record")
_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}


def record_of(kind: type[Record], mapping: Mapping[str, Any], *, source: str, prefix: str = "") -> Record:
    """Make a record; keys that are missing keep their defaults.

    Args:
        kind: a dataclass whose fields are int, float, str, bool, None, unions of these, or such dataclasses.
        mapping: what the file holds.
        source: the file, for messages.
        prefix: the keys above, with a dot behind each.

    Raises:
        UsageError: an unknown key, a value of another type, or one the record itself refuses; one line naming the key.
    """
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        where = f"{prefix}{key}"
        if key not in hints:
            raise UsageError(f"{source}: unknown key {where}{did_you_mean(str(key), hints)}")
        if dataclasses.is_dataclass(hints[key]):
            if not isinstance(value, Mapping):
                raise UsageError(f"{source}: {where} takes keys of its own, got {value!r}")
            values[key] = record_of(hints[key], value, source=source, prefix=f"{where}.")
        else:
            values[key] = _checked(value, hints[key], source=source, where=where)
    try:
        return kind(**values)
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from None


def _checked(value: Any, hint: Any, *, source: str, where: str) -> Any:
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if type(value) in allowed:
        return value
    if type(value) is int and float in allowed:
        return float(value)
    raise UsageError(f"{source}: {where} must be {' or '.join(_NAMES[kind] for kind in allowed)}, not {value!r}")
