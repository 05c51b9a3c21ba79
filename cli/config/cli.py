"""The LightningCLI of atomforge: YAML and options to model, data and Trainer.

Our rules for keys, resume and run directory take the place of Lightning's. It runs one Trainer method. Errors of the
user leave it as `UsageError`.
"""

import sys
import warnings
from typing import Any

import torch
import yaml
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins import CheckpointIO, Precision

from cli.config.files import SUBCLASS, KeyCheck, given_settings
from cli.config.fit_help import introduce
from cli.config.hardware import settle
from cli.config.names import with_paths
from cli.config.nulls import with_nulls
from cli.config.parser_errors import readable
from cli.config.ranks import is_launched_rank
from cli.config.resume import CheckpointFacts, differences, read_checkpoint_facts, refuse_changes, refuse_partial
from cli.config.run_directory import KeepConfig, checkpoint_to_start_from, prepare, resolved_text
from cli.errors import UsageError, explain, one_line
from cli.metric_lines import metric_lines
from cli.model_line import ModelLine
from cli.progress import PlainProgress, TrainingBar
from lightning_modules.training.checkpointing import DirectCheckpointIO, RunCheckpoint
from lightning_modules.training.run_logger import RunLogger
from lightning_modules.training.run_record import RunRecord
from lightning_modules.training.run_result import WriteRunResult


class RaisingParser(LightningArgumentParser):
    """A parser that raises one line where its base prints the usage and exits."""

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Raise instead of printing.

        Raises:
            UsageError: always; the message is still the parser's own.
        """
        raise UsageError(str(message)) from ex


class AtomforgeCLI(LightningCLI):
    """Parses and runs `fit`, `validate` or `test`.

    Args:
        subcommand: which of the three.
        arguments: the command line after it.
        run: False to stop after parsing and building (for tests of configs).
    """

    def __init__(self, subcommand: str, arguments: list[str], *, run: bool = True) -> None:
        arguments = with_paths(arguments)
        self._only = subcommand
        self._arguments = arguments
        self._run = run
        self._facts: CheckpointFacts | None = None
        self._goes_on = False
        self._machine: RunRecord | None = None
        super().__init__(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=KeepConfig,
            parser_class=RaisingParser,
            parser_kwargs={"prog": "atomforge"},
            auto_configure_optimizers=False,
            args=[subcommand, *with_nulls(arguments)],
        )

    def subcommands(self) -> dict[str, set[str]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Only the one asked for: each costs a parser over the whole Trainer signature."""
        return {self._only: LightningCLI.subcommands()[self._only]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the keys of ours beside `trainer`, `model` and `data`."""
        parser.add_argument(
            "--run_dir", type=str, required=True, help="directory of the run: events, config, checkpoints"
        )
        parser.add_argument(
            "--num_threads", type=int | None, default=None, help="CPU threads of torch; null = the fastest, measured"
        )
        parser.add_lightning_class_args(RunCheckpoint, "checkpoint")
        parser.link_arguments("run_dir", "checkpoint.run_dir")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Check the keys of every file and option, then let the parser check values.

        Raises:
            UsageError: anything wrong with either.
        """
        introduce(self._subcommand_parsers[self._only], self._only)
        check = KeyCheck(_known_keys(self._subcommand_parsers[self._only]))
        classes: dict[str, str] = {}
        for origin, settings in given_settings(self._arguments):
            check.check(settings, origin=origin)
            if isinstance(named := (settings.get("model") or {}), dict) and "class_path" in named:
                classes[origin] = str(named["class_path"])
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
                super().parse_arguments(parser, args)
        except UsageError as error:
            line = readable(str(error), check)
            if len(set(classes.values())) > 1:
                line = f"{' and '.join(classes)} are for different models, and one of them is wanted: {line}"
            raise UsageError(line) from error
        _check_ranges(self.config[self._only])

    def _parse_ckpt_path(self) -> None:
        """Our rule in place of Lightning's, which lets the checkpoint's hyperparameters win over the YAML."""
        if not self._run:
            return
        config = self.config[self._only]
        self._goes_on = config.ckpt_path is not None
        path = checkpoint_to_start_from(
            config.run_dir,
            subcommand=self._only,
            ckpt_path=config.ckpt_path,
            has_model=(config.model.get("init_args") or {}).get("init_from") is not None,
        )
        if config.ckpt_path == "last" and path is None and not is_launched_rank():
            print(f"atomforge: no checkpoint in {config.run_dir} yet, starting at the beginning", file=sys.stderr)
        config.ckpt_path = None if path is None else str(path)
        config.weights_only = True  # a checkpoint is data: nothing in it is run
        if self._only != "fit":
            config.verbose = False  # our own lines come in the place of the table
        if path is None:
            return
        self._facts = read_checkpoint_facts(path)
        given = yaml.safe_load(resolved_text(self._subcommand_parsers[self._only], config))
        if self._only == "fit":
            refuse_partial(self._facts)
            refuse_changes(self._facts, given)
        elif self._facts.config is not None:
            for line in differences(self._facts.config, given):
                print(f"atomforge: note: differs from the checkpoint's config: {line}", file=sys.stderr)

    def before_instantiate_classes(self) -> None:
        """Make the run directory, set the threads, choose the precision.

        Raises:
            UsageError: the directory cannot be written.
        """
        config = self.config[self._only]
        if not self._run:
            return
        if self._only == "fit":
            prepare(config.run_dir)
        precision, accelerator = config.trainer.precision, config.trainer.accelerator
        self._machine = settle(
            num_threads=config.num_threads,
            precision=None if precision is None else str(precision),
            accelerator=accelerator if isinstance(accelerator, str) else "other",
            devices=config.trainer.devices,
            num_nodes=config.trainer.num_nodes,
            recorded_in=config.run_dir if self._goes_on or self._only != "fit" else None,
            record_in=self._log_folder(config.run_dir),
        )
        assert self._machine.num_threads is not None
        torch.set_num_threads(self._machine.num_threads)

    def instantiate_classes(self) -> None:
        """Build model, data and Trainer.

        Raises:
            UsageError: a constructor of ours refused its settings (the parser wraps its error in a report).
        """
        try:
            super().instantiate_classes()
        except ValueError as error:
            cause: BaseException | None = error
            while cause is not None and explain(cause) is None:
                cause = cause.__cause__ or cause.__context__
            if cause is None:
                raise
            raise UsageError(explain(cause)) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the Trainer with our logger, checkpoints and progress where the config does not name others.

        Raises:
            UsageError: the Trainer refuses its settings.
        """
        config = self.config_init[self._only]
        trainer, run_dir = config["trainer"], config["run_dir"]
        kwargs["default_root_dir"] = trainer["default_root_dir"] or run_dir
        if trainer["logger"] in (None, True):
            step = self._facts.global_step if self._facts is not None else 0
            kwargs["logger"] = RunLogger(self._log_folder(run_dir), purge_step=step if self._only == "fit" else 0)
        plugins = trainer["plugins"] or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            kwargs["plugins"] = [*plugins, DirectCheckpointIO()]
        has_own_precision = any(isinstance(plugin, Precision) for plugin in plugins)
        if trainer["precision"] is None and self._machine is not None and not has_own_precision:
            kwargs["precision"] = self._machine.precision
        callbacks: list[Callback] = [WriteRunResult(run_dir)] if self._only == "fit" else []
        if trainer["enable_model_summary"] is None:
            callbacks.append(ModelLine(run_dir))
            kwargs["enable_model_summary"] = False
        if trainer["enable_progress_bar"] is not False:
            terminal = sys.stderr.isatty() and sys.stdout.isatty()
            callbacks.append(TrainingBar() if terminal else PlainProgress())
            kwargs["enable_progress_bar"] = terminal
        self.trainer_defaults["callbacks"] = callbacks
        try:
            return super().instantiate_trainer(**kwargs)
        except (ValueError, MisconfigurationException) as error:
            raise UsageError(f"trainer: {error}") from error

    def _log_folder(self, run_dir: str) -> str:
        """Where events go; those of `validate` and `test` stay apart from the curves of the run."""
        return run_dir if self._only == "fit" else f"{run_dir}/{self._only}"

    def _run_subcommand(self, subcommand: str) -> None:
        if not self._run:
            return
        try:
            super()._run_subcommand(subcommand)
            if subcommand != "fit" and self.trainer.is_global_zero:
                metrics = {tag: float(value) for tag, value in self.trainer.callback_metrics.items()}
                print(*metric_lines(metrics), sep="\n")
        except (RuntimeError, ValueError) as error:
            if self._facts is not None and _is_mismatch(error):
                detail = one_line(str(error).partition("\n")[2] or str(error))
                raise UsageError(f"{self._facts.path} is the checkpoint of another model: {detail[:200]}") from error
            raise


def _check_ranges(config: Namespace) -> None:
    """Refuse what Lightning and torch take and then fall over.

    Raises:
        UsageError: naming the key.
    """
    if config.num_threads is not None and config.num_threads < 1:
        raise UsageError(f"num_threads is {config.num_threads}; it must be at least 1, or null")
    seed = config.seed_everything
    if not isinstance(seed, bool) and isinstance(seed, int) and not 0 <= seed < 1 << 32:
        raise UsageError(f"seed_everything is {seed}; it must be a whole number from 0 to {(1 << 32) - 1}")
    every = config.trainer.check_val_every_n_epoch
    if every is not None and every < 1:
        raise UsageError(
            f"trainer.check_val_every_n_epoch is {every}; it must be at least 1 (`--trainer.limit_val_batches 0` turns "
            "validation off)"
        )


def _is_mismatch(error: Exception) -> bool:
    """Whether torch could not put the checkpoint's weights or optimizer state into what was built."""
    return str(error).startswith(("Error(s) in loading state_dict", "loaded state dict"))


def _known_keys(parser: LightningArgumentParser) -> dict[str, Any]:
    """Nest the names of a subcommand's parser."""
    known: dict[str, Any] = {}
    for action in parser._actions:
        if action.dest.endswith(".help"):
            continue
        *path, name = action.dest.split(".")
        level = known
        for part in path:
            if not isinstance(level.get(part), dict):
                level[part] = {}
            level = level[part]
        level.setdefault(name, None)
    return {**known, "model": SUBCLASS, "data": SUBCLASS}
