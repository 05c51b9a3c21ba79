"""What a run prints: its model, its progress, and the metrics of `validate` and `test`.

Progress is Lightning's bar on a terminal and plain lines elsewhere. Both show the time left of the run and, with a
large model minutes between two steps, the completions that are being generated.
"""

import sys
import time
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, RichProgressBar
from rich.progress import TaskID

from executor.commands.progress import LINE_EVERY_S, CountLines, format_duration
from lightning_modules.base_module import PolicyModule, ProgressCallback

_STATUS = "status/"


def format_metrics(metrics: Mapping[str, float]) -> list[str]:
    """Format a line per metric, `loss/val  0.3471`, sorted by name; statuses that did not occur are omitted."""
    shown = {tag: value for tag, value in sorted(metrics.items()) if value != 0 or not tag.startswith(_STATUS)}
    width = max(map(len, shown), default=0)
    return [f"{tag:<{width}}  {value:.4g}" for tag, value in shown.items()]


class ModelSummaryLine(Callback):
    """Prints the number of weights, how many of them are trained, and how to see the curves.

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
        part = "all of them trained" if trained == total else f"{_abbreviate(trained)} of them trained"
        curves = f"tensorboard --logdir {self._run_dir}"
        print(f"{_abbreviate(total)} weights, {part}; curves: {curves}", file=sys.stderr, flush=True)


class RunClock:
    """Measures the speed of a run since it was started or resumed, and estimates the time left."""

    def start(self, trainer: Trainer) -> None:
        """Start the clock."""
        self._started_at = time.monotonic()
        self._first_step = trainer.global_step
        self._first_fraction = compute_fraction_done(trainer, float(trainer.current_epoch))

    def steps_per_s(self, trainer: Trainer) -> float:
        """Optimizer steps per second."""
        return (trainer.global_step - self._first_step) / self._elapsed_s()

    def left_s(self, trainer: Trainer, num_epochs: float) -> float | None:
        """Seconds until the last epoch or step; None before the first step, or if the run has no end."""
        done = compute_fraction_done(trainer, num_epochs)
        progress = done - self._first_fraction
        return (1 - done) / progress * self._elapsed_s() if progress > 0 else None

    def _elapsed_s(self) -> float:
        return max(time.monotonic() - self._started_at, 1e-9)


def compute_fraction_done(trainer: Trainer, num_epochs: float) -> float:
    """Return the fraction of a fit that is done, by epochs or steps, whichever ends it; 0 if neither does."""
    epochs, steps = trainer.max_epochs or -1, trainer.max_steps
    return max(num_epochs / epochs if epochs > 0 else 0.0, trainer.global_step / steps if steps > 0 else 0.0)


def count_epochs(trainer: Trainer, batch_idx: int) -> float:
    """Count the epochs of a fit after batch `batch_idx` of the current one."""
    return trainer.current_epoch + (batch_idx + 1) / max(1, trainer.num_training_batches)


class TrainingBar(RichProgressBar):
    """Lightning's bar of an epoch with the time left of the run, and a second bar of completions."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = CountLines()
        self._completions: TaskID | None = None
        self._clock = RunClock()
        self._left: dict[str, str] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Register for the completions of the module."""
        super().setup(trainer, pl_module, stage)
        _listen(trainer, pl_module, self._show)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self._clock.start(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Estimate the time left."""
        left_s = self._clock.left_s(trainer, count_epochs(trainer, batch_idx))
        self._left = {} if left_s is None else {"run left": format_duration(left_s)}
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what follows the bar: the time left of the run, then the metrics."""
        return {**self._left, **super().get_metrics(trainer, pl_module)}

    def _show(self, what: str, done: int, total: int) -> None:
        if self.progress is None:  # completions of the first iteration, before there is a bar
            self._lines.show(f"{what}: completions", done, total)
            return
        if self._completions not in self.progress.task_ids:  # another stage has a bar of its own
            self._completions = self.progress.add_task("", total=total)
        assert self._completions is not None
        if done == 0:
            self.progress.reset(self._completions, total=total, description=f"{what}: completions", visible=True)
        self.progress.update(self._completions, completed=done, visible=done < total)
        self.refresh()


class PlainProgress(Callback):
    """Prints epoch, optimizer step, speed, time left and the metrics of the progress bar.

    Args:
        interval_s: minimum time between two lines.
    """

    def __init__(self, interval_s: float = LINE_EVERY_S) -> None:
        self.interval_s = interval_s
        self._lines = CountLines(interval_s)
        self._clock = RunClock()
        self._printed_at = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Register for the completions of the module."""
        _listen(trainer, pl_module, self._show)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._clock.start(trainer)
        self._printed_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print a line if the previous one is old enough."""
        if time.monotonic() - self._printed_at >= self.interval_s:
            self._print(trainer, num_epochs=count_epochs(trainer, batch_idx))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print a last line."""
        self._print(trainer, num_epochs=float(trainer.current_epoch))

    def _show(self, what: str, done: int, total: int) -> None:
        self._lines.show(f"{what}: completions", done, total)

    def _print(self, trainer: Trainer, *, num_epochs: float) -> None:
        if not trainer.is_global_zero:
            return
        self._printed_at = time.monotonic()
        parts = [f"step {trainer.global_step}", f"{self._clock.steps_per_s(trainer):.2f} steps/s"]
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            parts.insert(0, f"epoch {num_epochs:.1f}/{trainer.max_epochs}")
        left_s = self._clock.left_s(trainer, num_epochs)
        if left_s is not None:
            parts.append(f"{format_duration(left_s)} left")
        metrics = [f"{name} {float(value):.4g}" for name, value in trainer.progress_bar_metrics.items()]
        print(" · ".join([*parts, *metrics]), file=sys.stderr, flush=True)


def _listen(trainer: Trainer, pl_module: LightningModule, show: ProgressCallback) -> None:
    """Have the module call `show` for every completion, on the first rank."""
    if isinstance(pl_module, PolicyModule) and trainer.is_global_zero:
        pl_module.progress_callback = show


def _abbreviate(number: int) -> str:
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)
