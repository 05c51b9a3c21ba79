"""Finding YAML files: a path, or the name of one that is shipped, such as `sft`, `rl/grpo` or `studies/smoke`."""

from __future__ import annotations

from pathlib import Path

import configs
from executor.commands.errors import UsageError, did_you_mean

SHIPPED = Path(configs.__file__).parent


def find_config(name: str | Path) -> Path:
    """Find a file by its path, which wins, or by its name among those shipped, with or without `.yaml`.

    So that files which name others work from anywhere, `configs/sft.yaml` is such a name, too.

    Raises:
        UsageError: there is none; one line with the nearest name.
    """
    path = Path(name)
    if path.is_file():
        return path
    wanted = str(name).removeprefix("configs/")
    for candidate in (SHIPPED / wanted, SHIPPED / f"{wanted}.yaml"):
        if candidate.is_file() and candidate.suffix == ".yaml":
            return candidate
    if path.exists():
        raise UsageError(f"cannot read the config file {name}: it is no file")
    near = did_you_mean(wanted.removesuffix(".yaml"), shipped_names())
    raise UsageError(f"cannot read the config file {name}: No such file or directory{near}")


def shipped_names() -> list[str]:
    """List the names of the files that are shipped."""
    return sorted(str(path.relative_to(SHIPPED).with_suffix("")) for path in SHIPPED.rglob("*.yaml"))


def with_paths(arguments: list[str]) -> list[str]:
    """Put paths in the place of names behind every `--config`.

    Raises:
        UsageError: a file is not there.
    """
    found = list(arguments)
    for place, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option not in ("--config", "-c"):
            continue
        if equals:
            found[place] = f"{option}={find_config(value)}"
        elif place + 1 < len(arguments):
            found[place + 1] = str(find_config(arguments[place + 1]))
    return found
