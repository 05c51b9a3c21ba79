"""`machine.yaml` of a run: threads, precision and executor, which a resumed run reuses to compute the same numbers.

It is written when the run starts, extended when the executor is opened, and read on resume. Nothing is measured here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from datamodules.files import replace_atomically

FILE_NAME = "machine.yaml"


@dataclass(frozen=True, kw_only=True)
class ExecutorRecord:
    """The executor of a run."""

    description: str
    time_factor: float
    """How many times longer than on the reference machine a program may take."""
    step: int
    """x of the point in TensorBoard that shows it."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Settings that affect the bits of the results."""

    num_threads: int | None = None
    """CPU threads of torch in each rank; None = not chosen."""
    precision: str | None = None
    """Of the Trainer; None = not chosen."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """Measurements behind the two; empty if the user gave both."""
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
        raise ValueError(f"{path} is damaged: delete it, and the machine is measured again") from None


def write_record(run_dir: str | Path, record: RunRecord) -> None:
    """Write the record atomically."""
    with replace_atomically(Path(run_dir) / FILE_NAME) as unfinished:
        unfinished.write_text(yaml.safe_dump(asdict(record), sort_keys=False, width=1000), encoding="utf-8")
