"""The directory of an evaluation: what was asked (`settings.json`), and every judged completion (`samples.jsonl`).

Rows are appended as verdicts come, so an interrupted evaluation goes on from them. Scores and reports are made from
them elsewhere.
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
from executor.commands.io import write_json
from lightning_modules.evaluation.evaluate import Name
from lightning_modules.evaluation.records import JudgedSample

SETTINGS, SAMPLES = "settings.json", "samples.jsonl"
Kept = dict[str, dict[Name, JudgedSample]]
"""Judged completions by suite."""


class EvaluationStore:
    """Reads and writes one such directory.

    Args:
        directory: made where it does not exist.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()

    @property
    def has_samples(self) -> bool:
        """Whether anything was judged yet."""
        path = self.directory / SAMPLES
        return path.exists() and path.stat().st_size > 0

    def settings(self) -> dict[str, Any] | None:
        """Read what was asked; None where nothing was yet.

        Raises:
            UsageError: the directory holds something else.
        """
        path = self.directory / SETTINGS
        if not self.directory.exists() or not any(self.directory.iterdir()):
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UsageError(f"{self.directory} is no evaluation: it has no readable {SETTINGS}") from None

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Make the directory and note what is asked."""
        self.directory.mkdir(parents=True, exist_ok=True)
        write_json(self.directory / SETTINGS, settings)

    def read(self) -> Kept:
        """Read the completions kept so far; a torn last line is cut off, with a note.

        Raises:
            UsageError: another line is broken; names file and line.
        """
        path = self.directory / SAMPLES
        if not path.exists():
            return {}
        kept: Kept = {}
        lines = path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            try:
                if not line.endswith(b"\n"):
                    raise ValueError("cut short")
                suite, name, sample = _read(line)
                kept.setdefault(suite, {})[name] = sample
            except (ValueError, KeyError, TypeError):
                if number < len(lines):
                    raise UsageError(f"{path}, line {number}: not a sample of an evaluation") from None
                print(f"atomforge: note: the last line of {path} was cut short: it is made again", file=sys.stderr)
                os.truncate(path, sum(map(len, lines[:-1])))
        return kept

    def append(self, suite: str, task_id: str, number: int, sample: JudgedSample) -> None:
        """Keep a judged completion; any thread may call."""
        line = _line(suite, (task_id, number), sample)
        with self._lock, (self.directory / SAMPLES).open("a", encoding="utf-8") as file:
            file.write(line)

    def rewrite(self, kept: Kept) -> None:
        """Put other rows in the place of all, at once."""
        fresh = self.directory / f".{SAMPLES}.tmp"
        with fresh.open("w", encoding="utf-8") as file:
            for suite, samples in kept.items():
                file.writelines(_line(suite, name, sample) for name, sample in samples.items())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.directory / SAMPLES)


def _read(line: bytes) -> tuple[str, Name, JudgedSample]:
    row = json.loads(line)
    suite, name = row.pop("suite"), (row.pop("task_id"), row.pop("number"))
    return suite, name, JudgedSample(**row)


def _line(suite: str, name: Name, sample: JudgedSample) -> str:
    row = {"suite": suite, "task_id": name[0], "number": name[1], **asdict(sample)}
    return json.dumps(row, ensure_ascii=False) + "\n"
