"""What was handed in, a JSON file a job: `DIR/jobs/NUMBER.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from executor.commands.errors import UsageError
from executor.commands.io import write_json


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A job that Slurm has taken."""

    number: str
    name: str
    runs: Sequence[str | None]
    """Run directory of each element; None where it leaves none."""
    log: str
    """Folder of its output."""
    after: str | None = None
    """Number of the job it waits for."""

    def write(self, directory: Path) -> None:
        """Keep it under `directory`."""
        folder = directory / "jobs"
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{self.number}.json", asdict(self))


def read_submitted(directory: Path) -> list[Submitted]:
    """Read all jobs, in the order of their numbers.

    Raises:
        UsageError: there are none, or a file is none of ours.
    """
    paths = sorted((directory / "jobs").glob("*.json"), key=lambda path: int(path.stem) if path.stem.isdigit() else 0)
    if not paths:
        raise UsageError(f"{directory} holds no jobs; `atomforge submit` leaves them there")
    found = []
    for path in paths:
        try:
            found.append(Submitted(**json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"{path} is no record of a job") from error
    return found
