"""Read YAML files and convert their mappings to config dataclasses; wrong keys and types are errors."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from executor.commands.errors import UsageError, did_you_mean, one_line

Record = TypeVar("Record")
_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}


def read_yaml(path: Path, *, name: str | Path | None = None) -> dict[str, Any]:
    """Read the mapping of a YAML file.

    Args:
        path: the file.
        name: what error messages call it (default: the path).

    Raises:
        UsageError: the file is missing, unreadable, empty or not YAML (with the line), or holds no mapping.
    """
    name = path if name is None else name
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"cannot read the config file {name}: {reason}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UsageError(f"{name}{line}: not valid YAML: {one_line(problem)}") from error
    if loaded is None:
        raise UsageError(f"{name}: the config file is empty")
    if not isinstance(loaded, dict):
        raise UsageError(f"{name}: expected a mapping of keys to values, not a {type(loaded).__name__}")
    return loaded


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
