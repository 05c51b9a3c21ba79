"""`atomforge fit | validate | test`: Lightning's Trainer from YAML configs."""

import signal
import sys

from cli.config import ranks as launched_rank
from executor.commands.errors import Interrupted

_HINTS = ("Tip:", "TPU available: False", "Loading `train_dataloader` to estimate")
"""Parts of log lines of Lightning that tell a user nothing."""


def run(subcommand: str, arguments: list[str]) -> int:
    """Run one Trainer method.

    Raises:
        UsageError: whatever is wrong with the request.
        Interrupted: Ctrl-C; the checkpoints of the epochs completed are on disk.
    """
    launched_rank.begin()
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    from cli.config.cli import AtomforgeCLI

    _without_advertising()
    try:
        AtomforgeCLI(subcommand, arguments)
    except SIGTERMException:
        print("atomforge: terminated; run it again with `--ckpt_path last` to go on", file=sys.stderr)
        return 128 + signal.SIGTERM
    except SystemExit as leave:
        if isinstance(leave.__context__, KeyboardInterrupt):
            # Lightning catches Ctrl-C, shuts down, ignores further signals and leaves with exit code 1.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise Interrupted(_how_to_go_on(subcommand, arguments)) from leave
        return int(leave.code or 0)
    except KeyboardInterrupt as interrupt:
        raise Interrupted(_how_to_go_on(subcommand, arguments)) from interrupt
    except Exception as error:
        if not came_of_interrupt(error):
            raise
        # Ctrl-C between two epochs: Lightning's own clean-up fails on loaders that are not built yet
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise Interrupted(_how_to_go_on(subcommand, arguments)) from error
    finally:
        launched_rank.end()
    return 0


def came_of_interrupt(error: BaseException | None) -> bool:
    """Whether an error was raised while a Ctrl-C was being handled."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__context__
    return False


def _without_advertising() -> None:
    """Drop Lightning's hints on products of its makers, on TPUs, on srun (ours is `submit`) and on its own code."""
    import logging
    import warnings

    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
    warnings.filterwarnings("ignore", message=r"The `srun` command is available")

    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: not any(hint in record.getMessage() for hint in _HINTS)
    )


def _how_to_go_on(subcommand: str, arguments: list[str]) -> str:
    resumes = any(argument.startswith("--ckpt_path") for argument in arguments)
    if subcommand == "fit" and not resumes:
        return "interrupted; run the same command again with `--ckpt_path last` to go on"
    return "interrupted; run the same command again to go on"
