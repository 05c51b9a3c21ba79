"""Metrics of one run in one directory, over any number of resumes: TensorBoard events, and `metrics.jsonl`.

Lightning's own logger opens a new `version_N` at every start, which splits a curve at each resume. This one writes into
the directory it is given and tells TensorBoard to forget what a stopped run had logged beyond the restored checkpoint.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

import json
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams as hparams_summaries

from lightning_modules.training.logging.run_record import ExecutorRecord, RunRecord, read_record, write_record

MOST_SECONDS_TO_WAIT = 5.0
METRICS_FILE = "metrics.jsonl"
"""One row per logged step: `step`, and the value of each tag."""


def read_curves(run_dir: str | Path) -> dict[str, list[list[float]]]:
    """Read the metrics of a run by tag, as [[step, value], ...]; empty where nothing was logged."""
    curves: dict[str, list[list[float]]] = {}
    for row in _read_rows(Path(run_dir) / METRICS_FILE):
        step = row.pop("step")
        for tag, value in row.items():
            curves.setdefault(tag, []).append([step, value])
    return curves


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of the metrics file; an incomplete last line, of a run that was killed, is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, bool | int | float | str]]:
    """Go through nested settings: `model.init_args.optimizer.lr` and its value, lists and nulls as text."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, bool | int | float | str) else str(value)


def seconds_until_last(folder: str | Path, now: float) -> float:
    """Say how long to wait until an event file opened in `folder` is read after those that are there.

    TensorBoard reads a directory's files by name: `events.out.tfevents.SECOND.HOST.PROCESS.NUMBER`, the number as
    text, so that within a second 10 comes before 9. Read first, the curves of a restart would be what is forgotten.

    Args:
        folder: the directory of a run; it may not exist.
        now: seconds since the epoch.

    Returns:
        Seconds, at most `MOST_SECONDS_TO_WAIT`, so that a clock that was set back holds nobody up.
    """
    seconds = [path.name.split(".")[3] for path in Path(folder).glob("events.out.tfevents.*")]
    newest = max((int(second) for second in seconds if second.isdigit()), default=0)
    return min(max(newest + 1 - now, 0.0), MOST_SECONDS_TO_WAIT)


class RunLogger(TensorBoardLogger):
    """A TensorBoard logger for exactly `run_dir`.

    Lightning logs a metric of optimizer step n (counted from 0) at x = n, validation at that of the last step;
    so a checkpoint after N steps owns the points x < N, and those from N on are written again. What is logged past
    `self.log` (texts) has to keep to this: x = `trainer.global_step - 1` once the step is taken.

    Args:
        run_dir: the directory of the run.
        purge_step: the restored number of optimizer steps; 0 for a new run.
    """

    def __init__(self, run_dir: str | Path, *, purge_step: int = 0) -> None:
        super().__init__(save_dir=str(run_dir), name="", version="", default_hp_metric=False, purge_step=purge_step)
        self._purge_step = purge_step
        self._write_hparams = purge_step == 0
        self._last_step: dict[str, int] = {}
        self._has_appended = False

    @property
    def log_dir(self) -> str:
        """The directory of the run itself."""
        return str(self._root_dir)

    @property
    @rank_zero_experiment
    def experiment(self) -> SummaryWriter:
        """The writer, opened by the first use; its file is the last that TensorBoard reads."""
        if self._experiment is None:
            time.sleep(seconds_until_last(self.log_dir, time.time()))
        return super().experiment

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, metrics: dict[str, Any] | None = None, step: int | None = None
    ) -> None:
        """Remember them for `hparams.yaml`; the first call of a new run also shows them in TensorBoard."""
        super().log_hyperparams(params, metrics, step)
        if self._write_hparams:
            self._write_hparams = False
            plain = vars(self.hparams) if isinstance(self.hparams, Namespace) else self.hparams
            writer = self.experiment._get_file_writer()
            for summary in hparams_summaries(dict(leaves(plain)), {}):
                writer.add_summary(summary)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write points; one that was written at this step already is not written again."""
        new = {tag: value for tag, value in metrics.items() if step is None or self._last_step.get(tag) != step}
        if step is not None:
            self._last_step.update(dict.fromkeys(new, step))
        super().log_metrics(new, step)
        if new and step is not None:
            self._append({"step": step, **{tag: float(value) for tag, value in new.items()}})

    def _append(self, row: Mapping[str, Any]) -> None:
        """Write a row of `metrics.jsonl`; the first one of a start removes the rows of later steps."""
        path = Path(self.log_dir) / METRICS_FILE
        if not self._has_appended:
            self._has_appended = True
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [json.dumps(old) + "\n" for old in _read_rows(path) if old["step"] < self._purge_step]
            path.write_text("".join(rows), encoding="utf-8")
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def has_purged(self, step: int) -> bool:
        """Whether a point that an earlier start wrote at x = `step` is forgotten."""
        return step >= self._purge_step

    def recorded_executor(self) -> ExecutorRecord | None:
        """Read what ran the programs before this start; None where nothing did."""
        record = read_record(self.log_dir)
        return None if record is None else record.executor

    @rank_zero_only
    def record_executor(self, executor: ExecutorRecord) -> None:
        """Add what runs the programs to the record of the run."""
        record = read_record(self.log_dir) or RunRecord()
        write_record(self.log_dir, replace(record, executor=executor))
