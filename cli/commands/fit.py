"""`atomforge fit | validate | test`: run Lightning's Trainer from YAML configs."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from executor.commands.errors import Interrupted

if TYPE_CHECKING:
    from cli.config.cli import AtomforgeCLI

_TIPS = ("Tip:", "TPU available: False", "Loading `train_dataloader` to estimate")
"""Parts of log lines of Lightning that are irrelevant here."""


def run(subcommand: str, arguments: list[str]) -> int:
    """Run one Trainer method.

    Raises:
        UsageError: the settings are wrong.
        Interrupted: Ctrl-C; the checkpoints of complete epochs are on disk.
    """

    def build() -> AtomforgeCLI:
        from cli.config.cli import build_run_from_arguments

        return build_run_from_arguments(subcommand, arguments)

    resumes = subcommand != "fit" or any(argument.startswith("--ckpt_path") for argument in arguments)
    return run_trainer(build, resumes=resumes)


def run_trainer(build: Callable[[], AtomforgeCLI], *, resumes: bool) -> int:
    """Build a run and run its Trainer method.

    Args:
        build: returns the run.
        resumes: whether the same command resumes the run after Ctrl-C.

    Raises:
        UsageError: the settings are wrong.
        Interrupted: Ctrl-C; the checkpoints of complete epochs are on disk.
    """
    from cli.config.ranks import rank_process

    with rank_process(), _raise_interrupts(resumes=resumes), _raise_sigterm():
        from lightning.pytorch.utilities.exceptions import SIGTERMException

        _suppress_lightning_tips()
        try:
            build().run()
        except SIGTERMException:
            print("atomforge: terminated; run it again with `--ckpt_path last` to resume", file=sys.stderr)
            return 128 + signal.SIGTERM
        except SystemExit as leave:  # after --help and --print_config
            if isinstance(leave.__context__, KeyboardInterrupt):
                raise
            return int(leave.code or 0)
    return 0


@contextmanager
def _raise_interrupts(*, resumes: bool) -> Iterator[None]:
    """Raise `Interrupted` after Ctrl-C, in whatever form it arrives here.

    Lightning catches Ctrl-C, shuts down, ignores further signals and exits with code 1. Between two epochs its own
    clean-up fails on dataloaders that do not exist yet.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, Exception) as error:
        if not is_keyboard_interrupt(error):
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)
        how = "" if resumes else "with `--ckpt_path last` "
        raise Interrupted(f"interrupted; run the same command again {how}to resume") from error


@contextmanager
def _raise_sigterm() -> Iterator[None]:
    """Raise Lightning's `SIGTERMException` at once.

    Lightning itself waits for the end of a batch. The first batch of an iteration of reinforcement learning ends after
    its completions are sampled and graded, or after a server that samples them has come back.
    """
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    def leave(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SIGTERMException

    if threading.current_thread() is not threading.main_thread():  # only this one may set handlers
        yield
        return
    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def is_keyboard_interrupt(error: BaseException | None) -> bool:
    """Return whether an error is a Ctrl-C, or was raised while one was handled."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False


def _suppress_lightning_tips() -> None:
    """Suppress Lightning's tips on other products, on TPUs, on srun (`submit` does this) and on its own code."""
    import logging
    import warnings

    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
    warnings.filterwarnings("ignore", message=r"The `srun` command is available")

    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: not any(tip in record.getMessage() for tip in _TIPS)
    )
