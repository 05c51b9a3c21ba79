"""Reads the YAML file of a study, with the files that it extends."""

from __future__ import annotations

from typing import Any

from cli.config.files import read_yaml
from cli.study.plan import StudyConfig
from executor.commands.config import parse_dataclass
from executor.commands.errors import UsageError

RENAMED = {
    "explored": "exploratory",
    "finding": "hypothesis",
    "better": "treatment",
    "worse": "control",
    "least": "min_score",
    "minutes": "estimated_minutes",
    "layers": "configs",
}
"""Keys of version 0.1, and their names now."""


def load_study(path: str) -> StudyConfig:
    """Read and check the YAML file of a study.

    Raises:
        UsageError: an unknown key, an invalid value, or an unknown name; names the file.
    """
    sections = ("", "stages.", "contrasts.", "exploratory.", "gate.")
    renamed = {
        f"{section}{old}": f"{section}{new} (`python -m cli.study.migrate {path}` rewrites the file)"
        for section in sections
        for old, new in RENAMED.items()
    }
    return parse_dataclass(StudyConfig, read_study(path), source=path, renamed=renamed)


def read_study(path: str) -> dict[str, Any]:
    """Read the YAML file of a study; its keys replace those of the file that it `extends`, if any.

    Raises:
        UsageError: a file cannot be read, or the files extend each other in a cycle.
    """
    merged, seen, wanted = {}, [], path
    while wanted is not None:
        if wanted in seen:
            raise UsageError(f"{path}: studies extend each other in a cycle: {', '.join(seen)}")
        seen.append(wanted)
        content = read_yaml(wanted)
        wanted = content.pop("extends", None)
        if wanted is not None and not isinstance(wanted, str):
            raise UsageError(f"{seen[-1]}: extends must be the YAML file of a study, not {wanted!r}")
        merged = {**content, **merged}
    return merged
