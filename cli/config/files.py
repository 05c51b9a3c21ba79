"""Find and read config files, and collect the settings of a command in the order in which they apply.

A file is given by its path or, if it is shipped, by its name: `sft`, `rl/rloo`, `studies/smoke`. Nothing here knows
what the keys mean.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

import configs
from cli.config.renamed import RENAMED_KEYS
from executor.commands import config
from executor.commands.errors import UsageError, did_you_mean

SHIPPED = Path(configs.__file__).parent
Config = TypeVar("Config")
_NULLS = ("null", "None", "~")
_NESTED = re.compile(r"(model|data)\.(init_args\.)?(?!init_args\b)\w+\.[\w.]+")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Settings that were given in one place."""

    origin: str
    """The file, or `command line`; for error messages."""
    settings: Mapping[str, Any]
    """Nested mapping; empty for words without settings, such as `--help`."""
    words: Sequence[str]
    """The same for the parser. The content of a file is passed as text, so that the file is read once."""


def find_config(name: str | Path) -> Path:
    """Find a file by its path or by its name among the shipped files, with or without `.yaml`; a path comes first.

    `configs/sft.yaml` is such a name, too, so that files which name others work in every directory.

    Raises:
        UsageError: there is no such file; with the nearest name.
    """
    path = Path(name)
    if path.is_file():
        return path
    wanted = str(name).removeprefix("configs/")
    for candidate in (SHIPPED / wanted, SHIPPED / f"{wanted}.yaml"):
        if candidate.is_file() and candidate.suffix == ".yaml":
            return candidate
    if path.exists():
        raise UsageError(f"cannot read the config file {name}: it is not a file")
    hint = did_you_mean(wanted.removesuffix(".yaml"), list_shipped())
    raise UsageError(f"cannot read the config file {name}: No such file or directory{hint}")


def list_shipped() -> list[str]:
    """List the names of the shipped files."""
    return sorted(str(path.relative_to(SHIPPED).with_suffix("")) for path in SHIPPED.rglob("*.yaml"))


def read_yaml(name: str | Path) -> dict[str, Any]:
    """Read the mapping of a file.

    Args:
        name: as for `find_config`.

    Raises:
        UsageError: the file is missing or unreadable, is not YAML (with the line), or holds no mapping.
    """
    return config.read_yaml(find_config(name), name=name)


def load_config(cls: type[Config], name: str | Path, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a file into a dataclass; keys of `overrides` replace those of the file.

    Raises:
        UsageError: as `read_yaml` and `parse_config`.
    """
    return parse_config(cls, {**read_yaml(name), **(overrides or {})}, source=str(name))


def parse_config(cls: type[Config], settings: Mapping[str, Any], *, source: str, prefix: str = "") -> Config:
    """Build a dataclass from a mapping, as `executor.commands.config.parse_dataclass`, and name renamed keys.

    Raises:
        UsageError: a key is unknown, renamed or missing, or a value is wrong; the message names it and the source.
    """
    return config.parse_dataclass(cls, settings, source=source, prefix=prefix, renamed=RENAMED_KEYS)


def read_sources(files: Sequence[str | Path], overrides: Mapping[str, Any]) -> list[Source]:
    """Read files and apply overrides on top of them.

    Args:
        files: as for `find_config`; later files override earlier ones.
        overrides: values by dotted key; `model.lr` is short for `model.init_args.lr`.

    Raises:
        UsageError: a file cannot be read.
    """
    return [*(_read_file(file) for file in files), *(_override(key, value) for key, value in overrides.items())]


def read_arguments(arguments: Sequence[str]) -> Iterator[Source]:
    """Read the files and options of a command line.

    Raises:
        UsageError: a file cannot be read, or an option has no value.
    """
    rest = iter(arguments)
    for word in rest:
        option, equals, value = word.partition("=")
        key = option[2:].rstrip("+")
        if option in ("--config", "-c"):
            file = value if equals else next(rest, None)
            if file is None:
                raise UsageError("--config needs a file")
            yield _read_file(file)
        elif not option.startswith("--") or key in ("help", "print_config") or key.endswith(".help"):
            yield Source(origin="command line", settings={}, words=[word])
        else:
            given = value if equals else next(rest, None)
            if given is None or (not equals and given.startswith("--")):
                raise UsageError(f"{option} needs a value")
            if given in _NULLS and _NESTED.fullmatch(key):
                yield _override(key, None)
            else:
                words = [word] if equals else [word, given]
                yield Source(origin="command line", settings=_nest(key, _parse_value(given)), words=words)


def flatten(value: Any, key: str = "") -> dict[str, Any]:
    """Return each value below `key` by its dotted name; an empty mapping is a value."""
    if isinstance(value, Mapping) and value:
        return {
            name: leaf
            for part, inner in value.items()
            for name, leaf in flatten(inner, f"{key}.{part}" if key else str(part)).items()
        }
    return {key: value}


def _read_file(name: str | Path) -> Source:
    settings = read_yaml(name)
    return Source(origin=str(name), settings=settings, words=["--config", _dump(settings)])


def _override(key: str, value: Any) -> Source:
    section, _, rest = key.partition(".")
    if section in ("model", "data") and rest and rest.split(".")[0] not in ("class_path", "init_args", "dict_kwargs"):
        key = f"{section}.init_args.{rest}"
    settings = _nest(key, value)
    if value is None:  # jsonargparse rejects null on the command line for a key of a group of model and data
        words = ["--config", _dump(settings)]
    else:  # a mapping in a file replaces one of an earlier file, but an option changes a single key of it
        words = [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
    return Source(origin="command line", settings=settings, words=words)


def _nest(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _dump(settings: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)


def _parse_value(text: str | None) -> Any:
    """Parse the value of an option: YAML, or the text itself if it is not YAML."""
    try:
        return yaml.safe_load(text or "")
    except yaml.YAMLError:
        return text
