"""From YAML files and options to model, data and Trainer of `fit`, `validate` and `test`: a LightningCLI.

Its rules for keys, resuming and run directories replace Lightning's. Errors of the user are `UsageError`. Signals and
the command line of the process are not touched.
"""

import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import CheckpointIO, Precision

from cli.config import resume
from cli.config.arguments import add_run_arguments, check_ranges
from cli.config.errors import SUBCLASS, KeyCheck, describe
from cli.config.files import Source, read_arguments, read_sources
from cli.config.ranks import is_launched_rank, note_unused_gpu, resolve_hardware_settings
from cli.config.run_directory import SaveRunConfig, dump_config, find_checkpoint, prepare
from cli.progress import ModelSummaryLine, PlainProgress, TrainingBar, format_metrics
from executor.commands.errors import UsageError, explain, one_line
from lightning_modules.training.checkpointing import DirectCheckpointIO
from lightning_modules.training.logging.run_logger import RunLogger
from lightning_modules.training.logging.run_record import RunRecord
from lightning_modules.training.run_result import WriteRunResult

Stage = Literal["parsed", "built", "ready"]


def build_run(
    subcommand: str,
    configs: Sequence[str | Path],
    overrides: Mapping[str, Any] | None = None,
    *,
    stage: Stage = "ready",
) -> "AtomforgeCLI":
    """Build a run from config files and overrides; `run()` of the result runs it.

    Args:
        subcommand: fit, validate or test.
        configs: paths, or names of shipped files; later files override earlier ones.
        overrides: values by dotted key, such as `{"data.tasks": "tasks.jsonl", "model.init_args.lora": None}`.
        stage: as for `AtomforgeCLI`.

    Raises:
        UsageError: a file, a key or a value is wrong; the message names it.
    """
    return AtomforgeCLI(subcommand, read_sources(configs, overrides or {}), stage=stage)


def build_run_from_arguments(subcommand: str, arguments: Sequence[str], *, stage: Stage = "ready") -> "AtomforgeCLI":
    """Build a run from the words of a command line after the subcommand.

    Raises:
        UsageError: as `build_run`.
    """
    return AtomforgeCLI(subcommand, list(read_arguments(arguments)), stage=stage)


class RaisingParser(LightningArgumentParser):
    """A parser that raises its errors instead of printing the usage and exiting."""

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Raise a UsageError with the report of the parser."""
        raise UsageError(str(message)) from ex


class AtomforgeCLI(LightningCLI):
    """Parses the settings of `fit`, `validate` or `test`, builds model, data and Trainer, and runs the Trainer.

    Args:
        subcommand: fit, validate or test.
        sources: settings; later ones override earlier ones.
        stage: how far to go: `parsed`, the config only; `built`, also model, data and Trainer; `ready`, also the run
            directory, the checkpoint to start from, and the hardware settings.
    """

    def __init__(self, subcommand: str, sources: Sequence[Source], *, stage: Stage = "ready") -> None:
        self._name = subcommand
        self._sources = sources
        self._stage = stage
        self._facts: resume.CheckpointFacts | None = None
        self._hardware: RunRecord | None = None
        super().__init__(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=SaveRunConfig,
            parser_class=RaisingParser,
            parser_kwargs={"prog": f"atomforge {subcommand}"},
            auto_configure_optimizers=False,
            run=False,
            args=[word for source in sources for word in source.words],
        )

    def run(self) -> None:
        """Run the Trainer; `validate` and `test` print their metrics.

        Raises:
            UsageError: the checkpoint belongs to another model.
        """
        quiet = {} if self._name == "fit" else {"verbose": False}  # this prints the metrics instead
        try:
            getattr(self.trainer, self._name)(
                self.model,
                datamodule=self.datamodule,
                ckpt_path=self.config.ckpt_path,
                weights_only=True,  # a checkpoint is data: nothing in it is run
                **quiet,
            )
        except BaseException as error:
            self.model.teardown(self._name)  # Lightning does this only after a run without errors
            if self._facts is not None and (message := self._describe_mismatch(str(error), self._facts.path)):
                raise UsageError(message) from error
            raise
        if self._name != "fit" and self.trainer.is_global_zero:
            metrics = {tag: float(value) for tag, value in self.trainer.callback_metrics.items()}
            print(*format_metrics(metrics), sep="\n")

    def _describe_mismatch(self, error: str, checkpoint: Path) -> str | None:
        """Return in one line why a checkpoint does not fit the run; None for other errors."""
        if error.startswith(("Error(s) in loading state_dict", "loaded state dict")):  # of the model, of the optimizer
            detail = one_line(error.partition("\n")[2] or error)
            return f"{checkpoint} is the checkpoint of another model: {detail[:200]}"
        if epoch := re.search(r"a checkpoint with current_epoch=(\d+)", error):
            return (
                f"trainer.max_epochs is {self.trainer.max_epochs}, but {checkpoint} is from epoch {epoch[1]}: set a "
                "larger number to train further"
            )
        return None

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the keys other than `trainer`, `model` and `data`."""
        add_run_arguments(parser, self._name)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Check the keys of every source, then parse.

        Raises:
            UsageError: a key or a value is wrong.
        """
        check = KeyCheck({**parser.get_defaults().as_dict(), "model": SUBCLASS, "data": SUBCLASS})
        models: dict[str, str] = {}
        for source in self._sources:
            check.check(source.settings, origin=source.origin)
            model = source.settings.get("model")
            if isinstance(model, Mapping) and "class_path" in model:
                models[source.origin] = str(model["class_path"])
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
                super().parse_arguments(parser, args)
        except UsageError as error:
            line = describe(str(error), check)
            if len(set(models.values())) > 1:
                line = f"{' and '.join(models)} are for different models; give one of them: {line}"
            raise UsageError(line) from error
        check_ranges(self.config)

    def _set_seed(self) -> None:
        if self._stage != "parsed":
            super()._set_seed()

    def before_instantiate_classes(self) -> None:
        """Make the run directory, set the threads, choose the precision.

        Raises:
            UsageError: the directory cannot be written.
        """
        if self._stage != "ready":
            return
        config = self.config
        if self._name == "fit":
            prepare(config.run_dir)
        precision, accelerator = config.trainer.precision, config.trainer.accelerator
        note_unused_gpu(str(accelerator))
        self._hardware = resolve_hardware_settings(
            num_threads=config.num_threads,
            precision=None if precision is None else str(precision),
            accelerator=accelerator if isinstance(accelerator, str) else "other",
            devices=config.trainer.devices,
            num_nodes=config.trainer.num_nodes,
            recorded_in=config.run_dir if self._is_resumed or self._name != "fit" else None,
            record_in=self._log_directory,
        )
        assert self._hardware.num_threads is not None
        torch.set_num_threads(self._hardware.num_threads)

    def _parse_ckpt_path(self) -> None:
        """Find the checkpoint. Lightning's method lets the hyperparameters of the checkpoint override the config."""
        if self._stage != "ready":
            return
        config = self.config
        self._is_resumed = config.ckpt_path is not None
        path = find_checkpoint(
            config.run_dir,
            subcommand=self._name,
            ckpt_path=config.ckpt_path,
            has_model=(config.model.get("init_args") or {}).get("init_from") is not None,
        )
        if config.ckpt_path == "last" and path is None and not is_launched_rank():
            print(f"atomforge: no checkpoint in {config.run_dir} yet, starting at the beginning", file=sys.stderr)
        config.ckpt_path = None if path is None else str(path)
        if path is None:
            return
        self._facts = resume.read_checkpoint_facts(path)
        given = yaml.safe_load(dump_config(self.parser, config))
        if self._name == "fit":
            resume.check(self._facts, given)
        elif self._facts.config is not None:
            for line in resume.differences(self._facts.config, given):
                print(f"atomforge: note: differs from the checkpoint's config: {line}", file=sys.stderr)

    def instantiate_classes(self) -> None:
        """Build model, data and Trainer.

        Raises:
            UsageError: a constructor rejects its settings (the parser wraps its error in a report).
        """
        if self._stage == "parsed":
            return
        try:
            super().instantiate_classes()
        except ValueError as error:
            cause: BaseException | None = error
            while cause is not None and explain(cause) is None:
                cause = cause.__cause__ or cause.__context__
            if cause is not None:
                raise UsageError(explain(cause)) from error
            missing = re.search(r"Requirement '[^\n]* not met[^\n]*", str(error))  # of a logger, by Lightning
            if missing is None:
                raise
            raise UsageError(f"trainer: {missing[0]}") from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the Trainer, with the logger, checkpoints and progress of atomforge.

        Loggers of the config are added to that of atomforge, which stays the first; `logger: false` is none at all.

        Raises:
            UsageError: the Trainer rejects its settings.
        """
        trainer, run_dir = self.config_init["trainer"], self.config_init["run_dir"]
        kwargs["default_root_dir"] = trainer["default_root_dir"] or run_dir
        if trainer["logger"] is not False:
            step = self._facts.global_step if self._facts is not None and self._name == "fit" else 0
            added = [] if trainer["logger"] in (None, True) else trainer["logger"]
            added = [added] if isinstance(added, Logger) else list(added)
            kwargs["logger"] = [RunLogger(self._log_directory, purge_step=step), *added]
        plugins = trainer["plugins"] or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            kwargs["plugins"] = [*plugins, DirectCheckpointIO()]
        has_own_precision = any(isinstance(plugin, Precision) for plugin in plugins)
        if trainer["precision"] is None and self._hardware is not None and not has_own_precision:
            kwargs["precision"] = self._hardware.precision
        if trainer["strategy"] == "fsdp2":  # weights gathered in inference mode cannot be used; Lightning turns it off
            kwargs["inference_mode"] = False  # by itself only for gloo, which CPU ranks use
        callbacks: list[Callback] = [WriteRunResult(run_dir)] if self._name == "fit" else []
        if trainer["enable_model_summary"] is None:
            callbacks.append(ModelSummaryLine(run_dir))
            kwargs["enable_model_summary"] = False
        if trainer["enable_progress_bar"] is not False:
            is_terminal = sys.stderr.isatty() and sys.stdout.isatty()
            callbacks.append(TrainingBar() if is_terminal else PlainProgress())
            kwargs["enable_progress_bar"] = is_terminal
        self.trainer_defaults["callbacks"] = callbacks
        try:
            return super().instantiate_trainer(**kwargs)
        except (ValueError, MisconfigurationException) as error:
            raise UsageError(f"trainer: {error}") from error

    @property
    def _log_directory(self) -> str:
        """Directory of events; those of `validate` and `test` do not mix with the curves of the run."""
        run_dir = self.config.run_dir
        return run_dir if self._name == "fit" else f"{run_dir}/{self._name}"
