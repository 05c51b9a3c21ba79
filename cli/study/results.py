"""What an arm leaves behind: `result.json`, written last and at once; and all arms of a study in one archive."""

from __future__ import annotations

import dataclasses
import json
import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.study.budget import Budget
from executor.commands.errors import UsageError
from executor.commands.io import write_json
from lightning_modules.evaluation.records import Evaluation

FORMAT = 2
FILE_NAME = "result.json"
ARCHIVE_NAME = "arms.jsonl.xz"


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """A stage trained with a seed, and what it scored."""

    stage: str
    seed: int
    address: str
    kind: str
    parent: str | None
    minutes: float
    """Of training and evaluation, over all interruptions."""
    config: Mapping[str, Any]
    """All keys of the training, resolved."""
    versions: Mapping[str, str]
    budget: Budget
    """Tokens and floating point operations of this training alone."""
    curves: Mapping[str, list[list[float]]]
    """By TensorBoard tag: [[step, value], ...]."""
    evaluation: Mapping[str, Evaluation]
    """By split."""

    def to_json(self) -> dict[str, Any]:
        """Write as plain values."""
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        content["evaluation"] = {split: found.to_json() for split, found in self.evaluation.items()}
        return {"format": FORMAT, **content, "budget": self.budget.to_json()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ArmResult:
        """Read what `to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        values = dict(content)
        if values.pop("format") != FORMAT:
            raise ValueError("another format")
        values["evaluation"] = {split: Evaluation.from_json(found) for split, found in values["evaluation"].items()}
        return cls(**{**values, "budget": Budget(**values["budget"])})

    def write(self, path: Path) -> None:
        """Write as JSON, at once."""
        write_json(path, self.to_json())


def read_result(path: Path) -> ArmResult:
    """Read what `ArmResult.write` wrote.

    Raises:
        UsageError: it is something else; one line with the file.
    """
    try:
        return ArmResult.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no result of a study of this version") from error


def load_results(output: Path) -> list[ArmResult]:
    """Read all finished arms of a study, by stage and seed; of one that was made twice the newest.

    Where there is an archive, its arms come first, and those made here take their place.

    Raises:
        UsageError: there is none, or a file is none of ours.
    """
    paths = sorted(output.glob(f"arms/*/*/{FILE_NAME}"), key=lambda path: path.stat().st_mtime)
    found = [*_read_archive(output / ARCHIVE_NAME), *map(read_result, paths)]
    newest = {(result.stage, result.seed): result for result in found}
    if not newest:
        raise UsageError(f"{output} holds no finished arm of a study")
    return [newest[key] for key in sorted(newest)]


def write_archive(path: Path, results: Sequence[ArmResult]) -> None:
    """Write all arms into one compressed file, at once: a line of JSON each, programs and all."""
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
        raise UsageError(f"{path} is no archive of a study of this version") from error
