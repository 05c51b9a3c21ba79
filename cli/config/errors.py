"""Errors in the settings of `fit`, `validate` and `test`, as one line that names the source, the key and the value.

`KeyCheck` finds unknown keys before jsonargparse parses: jsonargparse accepts an unknown key with an empty value, and a
number in place of a section. `describe` condenses the reports of jsonargparse on types and values.
"""

import dataclasses
import importlib
import inspect
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

from cli.config.renamed import RENAMED_CLASSES, RENAMED_KEYS
from executor.commands.errors import UsageError, did_you_mean, one_line

SUBCLASS = object()
"""Marks, among the known keys, a key that holds `class_path` and `init_args`."""
_CLASS_SECTIONS = ("model", "data")
_STRUCTURE = ("class_path", "init_args", "dict_kwargs")


class KeyCheck:
    """Checks the keys of one source after the other, and remembers which source has set a key.

    Args:
        known: nested mapping of names; a leaf is `SUBCLASS`, a dataclass (whose fields are the keys below), or anything
            else, below which nothing is checked.
    """

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.known = known
        self.origins: dict[str, str] = {}
        self._class_paths: dict[str, str] = {}

    def check(self, settings: Mapping[str, Any], *, origin: str) -> None:
        """Check one source.

        Raises:
            UsageError: a key is unknown or renamed, or a section holds no mapping.
        """
        _check_renamed_classes(settings, origin)
        self._check(settings, self.known, key="", origin=origin)

    def find_origin(self, key: str) -> str | None:
        """Return the source that last set a dotted key or the nearest section above it; None if there is none."""
        while key and key not in self.origins:
            key = key.rpartition(".")[0]
        return self.origins.get(key)

    def _check(self, value: Any, known: Any, *, key: str, origin: str) -> None:
        if key:
            self.origins[key] = origin
        if known is SUBCLASS:
            self._check_subclass(value, key=key, origin=origin)
            return
        names = known if isinstance(known, Mapping) else _list_fields(known)
        if names is None:
            return
        if not isinstance(value, Mapping):
            if isinstance(known, Mapping) or (value is not None and _takes_only_mappings(known)):
                raise UsageError(f"{origin}: {key} must be a mapping, not {value!r}")
            return
        for name, inner in value.items():
            path = f"{key}.{name}" if key else str(name)
            if name not in names:
                if path in RENAMED_KEYS:
                    raise UsageError(f"{origin}: {path} was renamed to {RENAMED_KEYS[path]}")
                raise UsageError(f"{origin}: unknown key {path}{did_you_mean(str(name), names)}")
            self._check(inner, names[name], key=path, origin=origin)

    def _check_subclass(self, value: Any, *, key: str, origin: str) -> None:
        if isinstance(value, str):
            value = {"class_path": value}
        if not isinstance(value, Mapping):
            raise UsageError(f"{origin}: {key} must have class_path and init_args, not {value!r}")
        if not set(_STRUCTURE) & set(value):
            value = {"init_args": value}
        for name in value:
            if name not in _STRUCTURE:
                hint = did_you_mean(name, _STRUCTURE) or " (put it under init_args)"
                raise UsageError(f"{origin}: unknown key {key}.{name}{hint}")
        if "class_path" in value:
            self._class_paths[key] = value["class_path"]
            self.origins[f"{key}.class_path"] = origin
        cls = _import_class(self._class_paths.get(key), key=f"{key}.class_path", origin=origin)
        if "init_args" in value and not isinstance(value["init_args"], Mapping):
            raise UsageError(f"{origin}: {key}.init_args must be a mapping ({{}} for none), not {value['init_args']!r}")
        if cls is not None and "init_args" in value:
            self._check(value["init_args"], _list_parameters(cls), key=f"{key}.init_args", origin=origin)


def describe(message: str, check: KeyCheck) -> str:
    """Condense a report of jsonargparse.

    Args:
        message: the report, of any number of lines.
        check: has checked all sources, so it knows where each key comes from.
    """
    message = message.removeprefix('Parser key "config": ')  # sources are passed to the parser as values of --config
    missing = re.search(r"arguments are required: ([^\n]*)", message)
    keys = list(dict.fromkeys(re.findall(r'Parser key "([^"]+)"', message)))
    is_class = bool(keys) and keys[0] in _CLASS_SECTIONS
    if missing is not None:
        names = missing[1].split(", ")
        return _describe_missing([f"{keys[0]}.init_args.{name}" for name in names] if is_class else names)
    if not keys:
        return one_line(message)
    key = ".init_args.".join(keys[:2]) if is_class else keys[0]
    origin = check.find_origin(key)
    if origin is None:
        return _describe_missing([key])
    complaints = re.findall(r"^ *- (.*)$", message, re.MULTILINE) or [message.partition("\n")[2]]
    if is_class:  # the report of a class also says that null would do in place of the whole class
        complaints = [line for line in complaints if line != "Expected a <class 'NoneType'>"]
    if len(keys) == 1 and all("Expected a" not in line for line in complaints):
        return one_line(f"{origin}: {key}: {' '.join(complaints)}")
    values = re.findall(r"(?:Got value|Given value): ([^\n]*)", message)
    wanted = [_name_type(text) for text in re.findall(r"Expected an? (.+?)(?:\. Got value.*)?$", message, re.MULTILINE)]
    if is_class and len(set(wanted)) > 1:
        wanted = [name for name in wanted if name != "null"]
    value = f" is {values[0]!r}" if values else " is wrong"
    return one_line(f"{origin}: {key}{value}; expected {' or '.join(dict.fromkeys(wanted))}")


def _describe_missing(names: list[str]) -> str:
    verb, them = ("is", "it") if len(names) == 1 else ("are", "them")
    return f"{', '.join(names)} {verb} missing: give {them} in a --config file or as --{names[0]}"


def _name_type(text: str) -> str:
    """`<class 'int'>` -> int, `typing.Literal['a', 'b']` -> 'a', 'b', NoneType -> null."""
    name = re.sub(r"<class '([^']+)'>", r"\1", text)
    name = re.sub(r"typing\.Literal\[(.*)\]", r"\1", name)
    return "null" if name == "NoneType" else name


def _check_renamed_classes(value: Any, origin: str) -> None:
    if isinstance(value, Mapping):
        if (old := str(value.get("class_path"))) in RENAMED_CLASSES:
            raise UsageError(f"{origin}: class_path {old} was renamed to {RENAMED_CLASSES[old]}")
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            _check_renamed_classes(inner, origin)


def _import_class(path: Any, *, key: str, origin: str) -> type | None:
    """Import the class of a dotted path; None if the parser is to report what is wrong."""
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


def _list_parameters(cls: type) -> dict[str, Any] | None:
    """Return names and annotations of the constructor's parameters; None if it accepts any name."""
    parameters = list(inspect.signature(cls).parameters.values())
    if any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters):
        return None
    hints = typing.get_type_hints(cls.__init__)
    return {p.name: hints.get(p.name) for p in parameters}


def _list_fields(annotation: Any) -> dict[str, Any] | None:
    """Return the fields of the dataclass in an annotation, alone or in a union; None if there is no dataclass."""
    for member in _list_members(annotation):
        if inspect.isclass(member) and dataclasses.is_dataclass(member):
            hints = typing.get_type_hints(member)
            return {field.name: hints[field.name] for field in dataclasses.fields(member)}
    return None


def _takes_only_mappings(annotation: Any) -> bool:
    return all(member is type(None) or dataclasses.is_dataclass(member) for member in _list_members(annotation))


def _list_members(annotation: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if is_union else (annotation,)
