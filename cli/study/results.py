"""What an arm leaves behind: `result.json`, written last and at once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.errors import UsageError
from cli.json_file import write_json
from cli.study.budget import Budget
from lightning_modules.judged import Evaluation

FORMAT = 2
FILE_NAME = "result.json"


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

    def write(self, path: Path) -> None:
        """Write as JSON, at once."""
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        content["evaluation"] = {split: found.to_json() for split, found in self.evaluation.items()}
        content["budget"] = self.budget.to_json()
        write_json(path, {"format": FORMAT, **content})


def read_result(path: Path) -> ArmResult:
    """Read what `ArmResult.write` wrote.

    Raises:
        UsageError: it is something else; one line with the file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError("another format")
        content["evaluation"] = {split: Evaluation.from_json(found) for split, found in content["evaluation"].items()}
        content["budget"] = Budget(**content["budget"])
        return ArmResult(**content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no result of a study of this version") from error


def load_results(output: Path) -> list[ArmResult]:
    """Read all finished arms of a study, by stage and seed; of one that was made twice the newest.

    Raises:
        UsageError: there is none.
    """
    paths = sorted(output.glob(f"arms/*/*/{FILE_NAME}"), key=lambda path: path.stat().st_mtime)
    newest = {(result.stage, result.seed): result for result in map(read_result, paths)}
    if not newest:
        raise UsageError(f"{output} holds no finished arm of a study")
    return [newest[key] for key in sorted(newest)]
