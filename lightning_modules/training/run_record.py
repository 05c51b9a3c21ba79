"""`machine.yaml` of a run: what it computes with, so that it goes on after a stop as it began.

It is written when the run starts, gains the executor when that is opened, and is read back on resume. Nothing is
measured here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

FILE_NAME = "machine.yaml"


@dataclass(frozen=True, kw_only=True)
class ExecutorRecord:
    """What runs the programs of a run."""

    description: str
    time_factor: float
    """How many times longer than on the reference machine a program may take."""
    step: int
    """x of the point in TensorBoard that shows it."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run computes with."""

    num_threads: int | None = None
    """CPU threads of torch, of each rank; None where nobody chose."""
    precision: str | None = None
    """Of the Trainer; None where nobody chose."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """What the two were chosen by; empty where the user gave both."""
    executor: ExecutorRecord | None = None
    """None until one is opened."""


def read_record(run_dir: str | Path) -> RunRecord | None:
    """Read the record of a run; None where there is none.

    Raises:
        ValueError: the file is no such record.
    """
    path = Path(run_dir) / FILE_NAME
    if not path.is_file():
        return None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        executor = content.pop("executor")
        return RunRecord(**content, executor=None if executor is None else ExecutorRecord(**executor))
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        raise ValueError(f"{path} is damaged: delete it, and the machine is measured anew") from None


def write_record(run_dir: str | Path, record: RunRecord) -> None:
    """Write the record, whole or not at all."""
    target = Path(run_dir) / FILE_NAME
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.tmp")
    fresh.write_text(yaml.safe_dump(asdict(record), sort_keys=False, width=1000), encoding="utf-8")
    fresh.replace(target)
