"""What is trained, in one line at the start of a training, where Lightning would print a table of one row."""

import sys

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class ModelLine(Callback):
    """Prints how many weights there are, how many of them are trained, and how to see the curves.

    Args:
        run_dir: directory of the run.
    """

    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line, on the first rank."""
        if not trainer.is_global_zero:
            return
        sizes = [(weights.numel(), weights.requires_grad) for weights in pl_module.parameters()]
        total, trained = sum(size for size, _ in sizes), sum(size for size, is_trained in sizes if is_trained)
        part = "all of them trained" if trained == total else f"{_short(trained)} of them trained"
        print(
            f"{_short(total)} weights, {part}; curves: tensorboard --logdir {self._run_dir}",
            file=sys.stderr,
            flush=True,
        )


def _short(number: int) -> str:
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)
