"""Checkpoints of a run: at epoch ends, complete or absent, the newest few kept.

Layout of `RUN_DIR/checkpoints`: `epoch_00003.ckpt` (after three epochs), `last.ckpt` (a link to the newest) and, once
the run has reached its end, `final.ckpt` (a link to the newest too). A checkpoint is first `.epoch_00003.ckpt.tmp`,
then flushed to disk and renamed, so one under its real name is whole; this holds for sharded checkpoints, which are
folders, as well. The points that a checkpoint owns (see `run_logger`) are in the event file before it appears.

Resuming is exact at epoch boundaries only. A run that ends inside an epoch leaves its model as `partial.ckpt`, which no
run resumes from; `final.ckpt` links to it where `max_steps` ended the run.
"""

import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.apply_func import convert_tensors_to_scalars
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lightning_modules.training.logging.run_logger import RunLogger

PARTIAL_NAME = "partial.ckpt"
_NAME = re.compile(r"epoch_(\d+)\.ckpt")
_log = logging.getLogger(__name__)
_SHARDED_METADATA = ("meta.pt", ".metadata")
"""Of Lightning and of torch; without either a sharded checkpoint cannot be read."""


def list_checkpoints(run_dir: str | Path) -> list[Path]:
    """List the complete checkpoints of a run directory, oldest first."""
    folder = Path(run_dir) / "checkpoints"
    if not folder.is_dir():
        return []
    found = [(int(match[1]), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found) if _is_complete(path)]


def find_latest_checkpoint(run_dir: str | Path) -> Path | None:
    """Find the checkpoint that holds the model of a run: that of its newest whole epoch, or of a later end inside one.

    Such an end counts where `max_steps` brought it about, and where no epoch is whole.
    """
    folder = Path(run_dir) / "checkpoints"
    whole, partial = list_checkpoints(run_dir), folder / PARTIAL_NAME
    is_end = not whole or (folder / "final.ckpt").resolve() == partial.resolve()
    if is_end and partial.exists() and _is_complete(partial):
        return partial
    return whole[-1] if whole else None


def is_finished(run_dir: str | Path) -> bool:
    """Whether the run of this directory reached its end (`max_epochs`, `max_steps` or an early stop)."""
    return (Path(run_dir) / "checkpoints" / "final.ckpt").exists()


class DirectCheckpointIO(TorchCheckpointIO):
    """Writes directly to the given path: no second copy in memory, none in the system's temporary folder."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write the file; `RunCheckpoint` makes it appear whole."""
        assert storage_options is None
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, path)


class RunCheckpoint(Checkpoint):
    """Saves a checkpoint every `every_n_epochs` epochs and at the end of the run.

    Args:
        run_dir: directory of the run; checkpoints go into its `checkpoints` folder.
        every_n_epochs: epochs from one checkpoint to the next.
        keep_last_n: how many of the newest checkpoints stay on disk.
        keep_every_n_epochs: checkpoints at multiples of this many epochs are never deleted; null for none.

    Raises:
        ValueError: a count below 1.
    """

    def __init__(
        self, run_dir: str, every_n_epochs: int = 1, keep_last_n: int = 2, keep_every_n_epochs: int | None = None
    ) -> None:
        for key, value in (
            ("every_n_epochs", every_n_epochs),
            ("keep_last_n", keep_last_n),
            ("keep_every_n_epochs", keep_every_n_epochs),
        ):
            if value is not None and value < 1:
                raise ValueError(f"checkpoint.{key} is {value}; it must be at least 1")
        self.run_dir = Path(run_dir)
        self.folder = self.run_dir / "checkpoints"
        self.every_n_epochs = every_n_epochs
        self.keep_last_n = keep_last_n
        self.keep_every_n_epochs = keep_every_n_epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove partial files of a killed run; a resumed run is no longer finished."""
        if trainer.is_global_zero and not trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
            self.folder.mkdir(parents=True, exist_ok=True)
            for stale in self.folder.glob(".*.tmp"):
                _remove(stale)
            (self.folder / "final.ckpt").unlink(missing_ok=True)
            _remove(self.folder / PARTIAL_NAME)
            self._link_newest("last.ckpt")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save if due. Lightning calls this after every other `on_train_epoch_end`, the module's included."""
        if trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
            return
        num_epochs = trainer.current_epoch + 1
        if not _is_epoch_end(trainer):
            self._save(trainer, PARTIAL_NAME)
            if not _has_taken_all_steps(trainer):
                _log.warning(
                    "stopped inside epoch %d: a resumed run starts from the last complete epoch before it", num_epochs
                )
            return
        is_end = num_epochs == trainer.max_epochs or _has_taken_all_steps(trainer) or trainer.should_stop
        if num_epochs % self.every_n_epochs == 0 or is_end:
            self._save(trainer, f"epoch_{num_epochs:05d}.ckpt")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Mark the run as finished, unless it stopped inside an epoch (not called after an interrupt or a fault)."""
        if trainer.max_epochs == 0 and not list_checkpoints(self.run_dir):
            self._save(trainer, "epoch_00000.ckpt")  # the initial model
        if not trainer.is_global_zero or trainer.fast_dev_run:  # pyright: ignore[reportAttributeAccessIssue]
            return
        if not (self.folder / PARTIAL_NAME).exists():
            self._link_newest("final.ckpt")
        elif _has_taken_all_steps(trainer):
            _link(self.folder / "final.ckpt", PARTIAL_NAME)

    def _save(self, trainer: Trainer, name: str) -> None:
        target = self.folder / name
        unfinished = self.folder / f".{target.name}.tmp"
        _log_epoch_metrics(trainer)
        trainer.save_checkpoint(unfinished, weights_only=False)  # every rank takes part
        trainer.strategy.barrier("checkpoint written")
        if trainer.is_global_zero:
            _flush(unfinished)
            _remove(target)  # left there incomplete, if at all
            unfinished.replace(target)
            _flush(self.folder)
            self._link_newest("last.ckpt")
            self._prune()
        trainer.strategy.barrier("checkpoint in place")

    def _link_newest(self, name: str) -> None:
        existing = list_checkpoints(self.run_dir)
        if existing:
            _link(self.folder / name, existing[-1].name)

    def _prune(self) -> None:
        whole = list_checkpoints(self.run_dir)
        for path in whole[: -self.keep_last_n]:
            num_epochs = int(path.stem.removeprefix("epoch_"))
            if self.keep_every_n_epochs is None or num_epochs % self.keep_every_n_epochs:
                _remove(path)
        for path in self.folder.iterdir():
            if _NAME.fullmatch(path.name) and path not in whole:
                _remove(path)  # a sharded one that a kill left half removed


def _is_epoch_end(trainer: Trainer) -> bool:
    """Whether the epoch that ends has had all of its minibatches."""
    return trainer.fit_loop.epoch_loop.batch_progress.is_last_batch


def _has_taken_all_steps(trainer: Trainer) -> bool:
    return trainer.global_step == trainer.max_steps


def _is_complete(path: Path) -> bool:
    """Whether a checkpoint can be read; torch writes the metadata of a sharded one last."""
    return not path.is_dir() or all((path / name).is_file() for name in _SHARDED_METADATA)


def _log_epoch_metrics(trainer: Trainer) -> None:
    """Write the epoch's means. Lightning logs them after its last hook, so a run killed in between would lose them.

    Lightning's own call then finds them written (`RunLogger.log_metrics`). Every rank takes part, for the reduction.
    """
    metrics = trainer._logger_connector.metrics["log"]
    if metrics:
        points = convert_tensors_to_scalars(metrics) | {"epoch": trainer.current_epoch}
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.log_metrics(points, trainer.global_step - 1)
    for logger in trainer.loggers:
        logger.save()


def _link(link: Path, target_name: str) -> None:
    """Point `link` at its neighbour `target_name`, never absent in between."""
    fresh = link.with_name(f".{link.name}.tmp")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target_name)
    fresh.replace(link)
    _flush(link.parent)


def _flush(path: Path) -> None:
    """Force a file, or a folder and the files in it, to disk."""
    names = [path, *path.rglob("*")] if path.is_dir() and path.suffix == ".tmp" else [path]
    for name in names:
        descriptor = os.open(name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
