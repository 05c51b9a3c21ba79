"""The directory of a run: where a command starts from, and the config that it writes there."""

import os
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback

from cli.config.resume import CONFIG_KEY
from executor.commands.errors import UsageError
from executor.commands.io import open_atomic
from lightning_modules.training.checkpointing import find_latest_checkpoint, list_checkpoints


def find_checkpoint(run_dir: str, *, subcommand: str, ckpt_path: str | None, has_model: bool = False) -> Path | None:
    """Find the checkpoint from which `fit`, `validate` or `test` starts; None for the beginning.

    `last` is the newest checkpoint of the run directory, for `fit` the newest of a complete epoch, or the beginning if
    there is none, so that the same command starts and restarts a run. A directory of a run stands for its newest
    checkpoint.

    Args:
        run_dir: directory of this run.
        subcommand: fit, validate or test.
        ckpt_path: as given.
        has_model: whether the config names a pretrained model, which can be evaluated without a checkpoint.

    Raises:
        UsageError: `fit` without `ckpt_path` in a directory with checkpoints, or from one that is not its newest;
            `validate` or `test` without a model; `last` or a path that does not exist.
    """
    existing = list_checkpoints(run_dir)
    if ckpt_path is None:
        newest = find_latest_checkpoint(run_dir)
        if subcommand == "fit" and newest is not None:
            raise UsageError(
                f"{run_dir} already holds {newest.name}: add `--ckpt_path last` to resume, "
                "or give another --run_dir to start a new run"
            )
        if subcommand != "fit" and not has_model:
            here = "" if newest is None else f" (here {newest.name})"
            raise UsageError(
                f"{subcommand} needs a checkpoint: add `--ckpt_path last`, the newest of {run_dir}{here}, or "
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
            f"{run_dir} already holds {existing[-1].name}: resume from it with `--ckpt_path last`, "
            f"or give another --run_dir to start from {ckpt_path}"
        )
    return Path(ckpt_path)


def prepare(run_dir: str) -> None:
    """Make the directory and check that it can be written.

    Raises:
        UsageError: it cannot be made or written.
    """
    try:
        Path(run_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create run_dir {run_dir}: {error.strerror}") from error
    if not os.access(run_dir, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write to run_dir {run_dir}: permission denied")


class SaveRunConfig(SaveConfigCallback):
    """Writes the resolved config to `RUN_DIR/config.yaml`, to every checkpoint and to the loggers.

    A resumed run writes it again: `cli.config.resume.check` allows only differences that do not affect the model.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write it once, from rank 0, when fitting starts."""
        if stage != "fit" or not trainer.is_global_zero or self.already_saved:
            return
        self.already_saved = True
        target = Path(self.config.run_dir) / self.config_filename
        with open_atomic(target) as file:
            file.write(self._text())
        for logger in trainer.loggers:
            logger.log_hyperparams(yaml.safe_load(self._text()))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Store the config for `cli.config.resume`."""
        checkpoint[CONFIG_KEY] = self._text()

    def _text(self) -> str:
        return dump_config(self.parser, self.config)


def dump_config(parser: LightningArgumentParser, config: Namespace) -> str:
    """Write a config with all its defaults as YAML; equal configs have equal texts."""
    return parser.dump(config, skip_none=False, skip_link_targets=True)
