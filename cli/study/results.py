"""Results of finished arms: one `result.json` per arm, which is written last, or one archive of a whole study."""

from __future__ import annotations

import dataclasses
import json
import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from executor.commands.errors import UsageError
from executor.commands.io import write_json
from lightning_modules.evaluation.records import Evaluation
from lightning_modules.training.budget import Budget

FORMAT = 3
FILE_NAME = "result.json"
ARCHIVE_NAME = "arms.jsonl.xz"


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """A trained and evaluated arm."""

    stage: str
    seed: int
    fingerprint: str
    kind: str
    parent: str | None
    minutes: float
    """Of training and evaluation, over all interruptions."""
    config: Mapping[str, Any]
    """All keys of the training, resolved."""
    versions: Mapping[str, str]
    budget: Budget
    """Of this training alone."""
    curves: Mapping[str, list[list[float]]]
    """By TensorBoard tag: [[step, value], ...]."""
    evaluation: Mapping[str, Evaluation]
    """By split."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        content["evaluation"] = {split: found.to_json() for split, found in self.evaluation.items()}
        return {"format": FORMAT, **content, "budget": self.budget.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ArmResult:
        """Read the output of `to_json`.

        Raises:
            ValueError, KeyError, TypeError: another form.
        """
        values = dict(content)
        if values.pop("format") != FORMAT:
            raise ValueError("written by another version")
        values["evaluation"] = {split: Evaluation.from_json(found) for split, found in values["evaluation"].items()}
        return cls(**{**values, "budget": Budget(**values["budget"])})

    def write(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_json(path, self.to_json())


def read_result(path: Path) -> ArmResult:
    """Read the output of `ArmResult.write`.

    Raises:
        UsageError: the file has another form; names the file.
    """
    try:
        return ArmResult.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _other_version(path) from error


def load_results(output: Path) -> list[ArmResult]:
    """Read all finished arms of a study, sorted by stage and seed; an arm with several results has the newest one.

    Results of the directory replace those of an archive in it.

    Raises:
        UsageError: there is no finished arm, or a file has another form.
    """
    paths = sorted(output.glob(f"arms/*/*/{FILE_NAME}"), key=lambda path: path.stat().st_mtime)
    found = [*_read_archive(output / ARCHIVE_NAME), *map(read_result, paths)]
    newest = {(result.stage, result.seed): result for result in found}
    if not newest:
        raise UsageError(f"{output} contains no finished arm of a study")
    return [newest[key] for key in sorted(newest)]


def write_archive(path: Path, results: Sequence[ArmResult]) -> None:
    """Write all arms into one compressed file, atomically: one JSON line each, including all completions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.tmp")
    with lzma.open(fresh, "wt", preset=9, encoding="utf-8") as file:
        for result in results:
            file.write(json.dumps(result.to_json(), ensure_ascii=False) + "\n")
    fresh.replace(path)


def _read_archive(path: Path) -> list[ArmResult]:
    if not path.exists():
        return []
    try:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            return [ArmResult.from_json(json.loads(line)) for line in file]
    except (OSError, lzma.LZMAError, EOFError, ValueError, KeyError, TypeError) as error:
        raise _other_version(path) from error


def _other_version(path: Path) -> UsageError:
    folder = path.parent if path.name == ARCHIVE_NAME else path.parents[3]
    return UsageError(
        f"{path} is not a result of a study of this version: `python -m cli.study.migrate {folder}` converts "
        "results of version 0.1"
    )
