"""One directory a run: its config, events and checkpoints, and the rules for starting and going on in it."""

import os
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback

from cli.config.resume import CONFIG_KEY
from cli.errors import UsageError
from lightning_modules.training.checkpointing import find_latest_checkpoint, list_checkpoints
from lightning_modules.training.run_logger import RunLogger


def checkpoint_to_start_from(
    run_dir: str, *, subcommand: str, ckpt_path: str | None, has_model: bool = False
) -> Path | None:
    """Find where `fit`, `validate` or `test` starts from; None for the beginning.

    `last` is the newest checkpoint of the run directory, for `fit` the newest of a whole epoch, and in a directory
    without one the beginning, so that the same command serves the first start and every restart. The directory of
    another run stands for its newest one.

    Args:
        run_dir: directory of this run.
        subcommand: fit, validate or test.
        ckpt_path: as given.
        has_model: whether the config names a model to begin with, which can be judged as it is.

    Raises:
        UsageError: `fit` without `ckpt_path` in a directory with checkpoints, or from one that is not its newest;
            another one without any model to judge; `last` or a path that does not exist.
    """
    existing = list_checkpoints(run_dir)
    if ckpt_path is None:
        newest = find_latest_checkpoint(run_dir)
        if subcommand == "fit" and newest is not None:
            raise UsageError(
                f"{run_dir} already holds {newest.name}: add `--ckpt_path last` to go on, "
                "or give another --run_dir to start anew"
            )
        if subcommand != "fit" and not has_model:
            here = "" if newest is None else f" (here {newest.name})"
            raise UsageError(
                f"{subcommand} judges a checkpoint: add `--ckpt_path last`, the newest of {run_dir}{here}, or "
                "another run or .ckpt"
            )
        return None
    if ckpt_path == "last":
        if subcommand == "fit":
            return existing[-1] if existing else None
        if newest := find_latest_checkpoint(run_dir):
            return newest
        raise UsageError(f"--ckpt_path last: {run_dir} holds no checkpoint yet")
    if not Path(ckpt_path).exists():
        known = f" ({run_dir} holds {', '.join(path.name for path in existing)})" if existing else ""
        raise UsageError(f"no checkpoint at {ckpt_path}{known}")
    if Path(ckpt_path).is_dir() and (of_run := find_latest_checkpoint(ckpt_path)):
        ckpt_path = str(of_run)
    if subcommand == "fit" and existing and Path(ckpt_path).resolve() != existing[-1].resolve():
        raise UsageError(
            f"{run_dir} already holds {existing[-1].name}: go on from it with `--ckpt_path last`, "
            f"or give another --run_dir to start from {ckpt_path}"
        )
    return Path(ckpt_path)


def prepare(run_dir: str) -> None:
    """Make the directory and see that it can be written.

    Raises:
        UsageError: it cannot.
    """
    try:
        Path(run_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create run_dir {run_dir}: {error.strerror}") from error
    if not os.access(run_dir, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write into run_dir {run_dir}: permission denied")


class KeepConfig(SaveConfigCallback):
    """Writes the resolved config to `RUN_DIR/config.yaml` and into every checkpoint, and its leaves to the logger.

    A resumed run may write it again: by the rule of `cli.config.resume` it then differs in free keys only.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write it once, from rank 0, when fitting starts."""
        if stage != "fit" or not trainer.is_global_zero or self.already_saved:
            return
        self.already_saved = True
        target = Path(self.config.run_dir) / self.config_filename
        fresh = target.with_name(f".{target.name}.tmp")
        fresh.write_text(self._text(), encoding="utf-8")
        fresh.replace(target)
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.log_hyperparams(yaml.safe_load(self._text()))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Leave the config where `cli.config.resume` finds it."""
        checkpoint[CONFIG_KEY] = self._text()

    def _text(self) -> str:
        return resolved_text(self.parser, self.config)


def resolved_text(parser: LightningArgumentParser, config: Namespace) -> str:
    """Write a config out in full, as YAML; two configs mean the same if and only if these say the same."""
    return parser.dump(config, skip_none=False, skip_link_targets=True)
