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
        kind: a dataclass whose fields are int, float, str, bool, None, literals, such dataclasses, unions of these,
            `tuple[X, ...]` of them (a list in the file), or `Mapping[str, str | Any]`.
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
        values[key] = _checked(value, hints[key], source=source, where=where)
    missing = [
        f.name
        for f in dataclasses.fields(kind)  # type: ignore[arg-type]
        if f.name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise UsageError(f"{source}: {prefix}{missing[0]} is missing")
    try:
        return kind(**values)
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from None


def _checked(value: Any, hint: Any, *, source: str, where: str) -> Any:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    option = next((option for option in options if option is not type(None)), hint)
    if dataclasses.is_dataclass(option):
        if not isinstance(value, Mapping):
            raise UsageError(f"{source}: {where} takes keys of its own, got {value!r}")
        return record_of(option, value, source=source, prefix=f"{where}.")  # type: ignore[arg-type]
    origin = typing.get_origin(option)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"{source}: {where} must be a list, not {value!r}")
        item = typing.get_args(option)[0]
        return tuple(_checked(v, item, source=source, where=f"{where}.{i}") for i, v in enumerate(value))
    if origin is Mapping:
        plain = typing.get_args(option)[1] is Any
        if not isinstance(value, Mapping) or not all(
            isinstance(v, str) for v in (*value, *(() if plain else value.values()))
        ):
            raise UsageError(f"{source}: {where} must hold `name: name` lines, not {value!r}")
        return dict(value)
    if origin is typing.Literal:
        if value not in typing.get_args(option):
            raise UsageError(f"{source}: {where} must be {' or '.join(typing.get_args(option))}, not {value!r}")
        return value
    if type(value) in options:
        return value
    if type(value) is int and float in options:
        return float(value)
    raise UsageError(f"{source}: {where} must be {' or '.join(_NAMES[kind] for kind in options)}, not {value!r}")
