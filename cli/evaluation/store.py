"""The output directory of an evaluation: `settings.json`, and one row per graded completion in `samples.jsonl`.

Rows are appended as completions are graded, so an interrupted evaluation can continue. Scores are computed elsewhere.
"""

import json
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from executor.commands.errors import UsageError
from executor.commands.io import open_atomic, write_json
from lightning_modules.evaluation.evaluate import CompletionKey
from lightning_modules.evaluation.records import GradedCompletion

SETTINGS, SAMPLES = "settings.json", "samples.jsonl"
Stored = dict[str, dict[CompletionKey, GradedCompletion]]
"""Graded completions by suite."""


class EvaluationStore:
    """Reads and writes such a directory.

    Args:
        directory: created by `begin`.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()

    @property
    def has_samples(self) -> bool:
        """Whether the directory holds graded completions."""
        path = self.directory / SAMPLES
        return path.exists() and path.stat().st_size > 0

    def settings(self) -> dict[str, Any] | None:
        """Read the settings; None if the directory is empty or missing.

        Raises:
            UsageError: the directory holds something else.
        """
        path = self.directory / SETTINGS
        if not self.directory.exists() or not any(self.directory.iterdir()):
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UsageError(f"{self.directory} is not an evaluation: it has no readable {SETTINGS}") from None

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Create the directory and write the settings."""
        self.directory.mkdir(parents=True, exist_ok=True)
        write_json(self.directory / SETTINGS, settings)

    def read(self) -> Stored:
        """Read the stored completions; an incomplete last line is removed, with a note.

        Raises:
            UsageError: another line is invalid; names file and line.
        """
        path = self.directory / SAMPLES
        if not path.exists():
            return {}
        stored: Stored = {}
        lines = path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            try:
                if not line.endswith(b"\n"):
                    raise ValueError("cut short")
                suite, key, completion = _parse(line)
                stored.setdefault(suite, {})[key] = completion
            except (ValueError, KeyError, TypeError):
                if number < len(lines):
                    raise UsageError(f"{path}, line {number}: not a completion of an evaluation") from None
                note = f"the last line of {path} was incomplete; its completion is generated again"
                print(f"atomforge: note: {note}", file=sys.stderr)
                os.truncate(path, sum(map(len, lines[:-1])))
        return stored

    def append(self, suite: str, task_id: str, number: int, completion: GradedCompletion) -> None:
        """Store a graded completion; any thread may call."""
        line = _render(suite, (task_id, number), completion)
        with self._lock, (self.directory / SAMPLES).open("a", encoding="utf-8") as file:
            file.write(line)

    def rewrite(self, stored: Stored) -> None:
        """Replace all rows, atomically."""
        with open_atomic(self.directory / SAMPLES) as file:
            for suite, completions in stored.items():
                file.writelines(_render(suite, key, completion) for key, completion in completions.items())


def _parse(line: bytes) -> tuple[str, CompletionKey, GradedCompletion]:
    row = json.loads(line)
    suite, key = row.pop("suite"), (row.pop("task_id"), row.pop("number"))
    return suite, key, GradedCompletion(**row)


def _render(suite: str, key: CompletionKey, completion: GradedCompletion) -> str:
    row = {"suite": suite, "task_id": key[0], "number": key[1], **asdict(completion)}
    return json.dumps(row, ensure_ascii=False) + "\n"
