"""Read the YAML files of a command and check their keys: an unknown one is a line with its file and a near match.

The parser of LightningCLI checks types and values afterwards; it takes an unknown key with an empty value, and a number
where a section belongs, without a word, and its messages name no file. This module knows nothing of what the keys mean.
"""

import dataclasses
import importlib
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from cli.config.names import find_config
from executor.commands import config
from executor.commands.errors import UsageError, did_you_mean

SUBCLASS = object()
"""Marks, among the known keys, one that holds `class_path` and `init_args`."""


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read the mapping of a YAML file, given by its path or by its name among those shipped.

    Raises:
        UsageError: the file is missing or unreadable, is not YAML (with the line), or holds no mapping.
    """
    return config.read_yaml(find_config(path), name=path)


def given_settings(arguments: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where from, nested mapping) for every `--config FILE` and `--a.b VALUE`, in their order."""
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-") or argument in ("-h", "--help", "--print_config"):
            continue
        name, equals, value = argument.partition("=")
        if name in ("--config", "-c"):
            path = value if equals else next(rest, None)
            if path is None:
                raise UsageError("--config needs a file")
            yield path, read_yaml(path)
        elif name.startswith("--") and not name.startswith("--print_config") and not name.endswith(".help"):
            nested: Any = _loaded(value if equals else next(rest, None))
            for part in reversed(name[2:].rstrip("+").split(".")):
                nested = {part: nested}
            yield "command line", nested


def leaves(value: Any, key: str = "") -> dict[str, Any]:
    """Give each value below `key` its dotted name; an empty mapping is a value."""
    if isinstance(value, Mapping) and value:
        return {
            name: leaf
            for part, inner in value.items()
            for name, leaf in leaves(inner, f"{key}.{part}" if key else str(part)).items()
        }
    return {key: value}


def _loaded(value: str | None) -> Any:
    """Parse the value of an option: YAML, or the string itself where it is none."""
    try:
        return yaml.safe_load(value or "")
    except yaml.YAMLError:
        return value


class KeyCheck:
    """Checks settings against known keys, one after the other, and remembers where each key came from.

    Args:
        known: nested mapping of names; a leaf is `SUBCLASS`, a dataclass (whose fields are the keys below), or anything
            else, which is not looked into.
    """

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.known = known
        self.origins: dict[str, str] = {}
        self._class_paths: dict[str, str] = {}

    def check(self, settings: Mapping[str, Any], *, origin: str) -> None:
        """Check one file or one option.

        Raises:
            UsageError: an unknown key, or a section that holds no mapping.
        """
        self._walk(settings, self.known, prefix="", origin=origin)

    def origin_of(self, key: str) -> str | None:
        """Where a dotted key, or the nearest section above it, was last set; None if nowhere."""
        while key and key not in self.origins:
            key = key.rpartition(".")[0]
        return self.origins.get(key)

    def _walk(self, value: Any, known: Any, *, prefix: str, origin: str) -> None:
        if prefix:
            self.origins[prefix.removesuffix(".")] = origin
        if known is SUBCLASS:
            self._walk_subclass(value, prefix=prefix, origin=origin)
            return
        names = known if isinstance(known, Mapping) else _record_keys(known)
        if names is None:
            return
        if not isinstance(value, Mapping):
            if isinstance(known, Mapping) or (dataclasses.is_dataclass(known) and value is not None):
                raise UsageError(f"{origin}: {prefix.removesuffix('.')} takes keys of its own, got {value!r}")
            return
        for name, inner in value.items():
            if name not in names:
                raise UsageError(f"{origin}: unknown key {prefix}{name}{did_you_mean(str(name), names)}")
            self._walk(inner, names[name], prefix=f"{prefix}{name}.", origin=origin)

    def _walk_subclass(self, value: Any, *, prefix: str, origin: str) -> None:
        if isinstance(value, str):
            value = {"class_path": value}
        if not isinstance(value, Mapping):
            raise UsageError(f"{origin}: {prefix.removesuffix('.')} needs class_path and init_args, got {value!r}")
        structural = {"class_path", "init_args", "dict_kwargs"}
        if not structural & set(value):
            value = {"init_args": value}
        for name in value:
            if name not in structural:
                hint = did_you_mean(name, structural)
                raise UsageError(f"{origin}: unknown key {prefix}{name}{hint or ' (put it under init_args)'}")
        if "class_path" in value:
            self._class_paths[prefix] = value["class_path"]
            self.origins[f"{prefix}class_path"] = origin
        cls = _import_class(self._class_paths.get(prefix), key=f"{prefix}class_path", origin=origin)
        if "init_args" in value and not isinstance(value["init_args"], Mapping):
            raise UsageError(f"{origin}: {prefix}init_args takes keys ({{}} for none), got {value['init_args']!r}")
        if cls is not None and "init_args" in value:
            self._walk(value["init_args"], _constructor_keys(cls), prefix=f"{prefix}init_args.", origin=origin)


def _import_class(path: Any, *, key: str, origin: str) -> type | None:
    """Import the class of a dotted path; None where the parser should have its say."""
    if not isinstance(path, str) or "." not in path:
        return None
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and module_name.startswith(error.name):
            raise UsageError(f"{origin}: {key} is {path}, but there is no module {module_name}") from error
        raise
    found = getattr(module, name, None)
    if found is None:
        classes = [n for n, obj in vars(module).items() if inspect.isclass(obj) and obj.__module__ == module_name]
        hint = did_you_mean(name, classes)
        raise UsageError(f"{origin}: {key} is {path}, but {module_name} has no class {name}{hint}")
    return found if inspect.isclass(found) else None


def _constructor_keys(cls: type) -> dict[str, Any] | None:
    """Names and annotations the constructor takes as keys; None where any name may be right."""
    parameters = list(inspect.signature(cls).parameters.values())
    if any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters):
        return None
    hints = typing.get_type_hints(cls.__init__)
    return {p.name: hints.get(p.name) for p in parameters}


def _record_keys(annotation: Any) -> dict[str, Any] | None:
    """Fields of the dataclass an annotation names (alone or as an option of a union); None for any other annotation."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    for option in typing.get_args(annotation) if is_union else (annotation,):
        if inspect.isclass(option) and dataclasses.is_dataclass(option):
            hints = typing.get_type_hints(option)
            return {field.name: hints[field.name] for field in dataclasses.fields(option)}
    return None
