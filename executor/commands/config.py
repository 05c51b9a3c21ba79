"""Read YAML files and convert their mappings to config dataclasses. Unknown keys and other types are errors."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from executor.commands.errors import UsageError, did_you_mean, one_line

Config = TypeVar("Config")
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_NAMES = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "dataclass_type": "a mapping",
    "none_required": "null",
}
"""What pydantic's types of errors ask for, in the words of YAML."""


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


def parse_dataclass(
    cls: type[Config],
    settings: Mapping[str, Any],
    *,
    source: str,
    prefix: str = "",
    renamed: Mapping[str, str] = types.MappingProxyType({}),
) -> Config:
    """Build a config from a mapping; missing keys keep their defaults.

    Args:
        cls: a dataclass; its fields may be dataclasses, tuples, mappings, literals and unions of these. Its
            `__post_init__` may raise ValueError, which should name the key.
        settings: the content of a file, with lists for tuples.
        source: the file, for error messages.
        prefix: the section that `settings` is, such as `slurm.`, for error messages.
        renamed: earlier names of keys and their present names, for error messages.

    Raises:
        UsageError: a key is unknown or missing, or a value is wrong; the message names source, key and value.
    """
    try:
        return _wrap(cls).model_validate_json(json.dumps({"config": settings}, default=str)).config  # type: ignore[attr-defined]
    except ValidationError as error:
        raise UsageError(f"{source}: {_describe(error, cls, prefix, renamed)}") from None


@cache
def _wrap(cls: type) -> type[BaseModel]:
    """Make a model with the config as its only field: dataclasses inherit the strictness of the model they are in."""
    strict = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
    return create_model(f"{cls.__name__}File", __config__=strict, config=(cls, ...))


def _describe(error: ValidationError, cls: type, prefix: str, renamed: Mapping[str, str]) -> str:
    """Describe the first error, or the first unknown key: key, value and what would be right."""
    errors = error.errors(include_url=False)
    first = next((one for one in errors if one["type"] in _UNKNOWN), errors[0])
    location = first["loc"][1:]
    if first["type"] in _UNKNOWN:
        keys, section = _follow(cls, location[:-1])
        key = prefix + ".".join([*keys, str(location[-1])])
        new = renamed.get(".".join(part for part in key.split(".") if not part.isdigit()))
        if new is not None:
            return f"{key} was renamed to {new}"
        names = typing.get_type_hints(section)
        return f"unknown key {key}" + (did_you_mean(str(location[-1]), names) or f"; known keys: {', '.join(names)}")
    keys, _ = _follow(cls, location)
    key = prefix + ".".join(keys)
    if first["type"] in ("missing", "missing_argument"):
        return f"{key} is missing"
    if first["type"] == "value_error":
        message = one_line(str(first.get("ctx", {})["error"]))
        return f"{key}: {message}" if keys else message
    same = [one for one in errors if _follow(cls, one["loc"][1:])[0] == keys]  # one for each member of a union
    wanted = [_NAMES.get(one["type"], one["msg"].removeprefix("Input should be ")) for one in same]
    return f"{key} must be {' or '.join(dict.fromkeys(wanted))}, not {first['input']!r:.100}"


def _follow(annotation: Any, location: Sequence[str | int]) -> tuple[list[str], Any]:
    """Follow the location of an error through annotations: its keys in the file, and the annotation of the value.

    A location also has the names of union members, which are no keys.
    """
    keys = []
    for part in location:
        members = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
        for member in members:
            if dataclasses.is_dataclass(member) and part in (hints := typing.get_type_hints(member)):
                annotation = hints[str(part)]
            elif typing.get_origin(member) is tuple and isinstance(part, int):
                annotation = typing.get_args(member)[0]
            elif typing.get_origin(member) in (dict, Mapping) and len(typing.get_args(member)) == 2:
                annotation = typing.get_args(member)[1]
            else:
                continue
            keys.append(str(part))
            break
    section = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return keys, next((member for member in section if dataclasses.is_dataclass(member)), annotation)
