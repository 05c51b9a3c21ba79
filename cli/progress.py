"""Progress of a training: Lightning's bar on a terminal, elsewhere one plain line every few seconds.

Both tell the time left of the whole run, and of answers that are being written, which with a large model takes minutes
between two steps.
"""

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, RichProgressBar
from rich.progress import TaskID

from executor.commands.progress import LINE_EVERY_S, CountLines, format_duration
from lightning_modules.base_module import PolicyModule, ProgressCallback


class AnswerLines(CountLines):
    """Plain lines about answers that are being written."""

    def show(self, noun: str, done: int, total: int) -> None:
        """Print if the last line, or the beginning (`done` 0), is old enough; fits `PolicyModule.progress_callback`."""
        if done == 0:
            self.start()
        super().show(f"{noun}: answers", done, total)


class RunClock:
    """How fast this start of a run goes, and when the run will be over."""

    def start(self, trainer: Trainer) -> None:
        """Start the clock where a run begins, or goes on."""
        self._started_at = time.monotonic()
        self._first_step = trainer.global_step
        self._first_share = share_done(trainer, float(trainer.current_epoch))

    def rate(self, trainer: Trainer) -> float:
        """Optimizer steps a second."""
        return (trainer.global_step - self._first_step) / self._elapsed_s()

    def left_s(self, trainer: Trainer, num_epochs: float) -> float | None:
        """Seconds until the last epoch or step; None before the first step, or where the run has no end."""
        done = share_done(trainer, num_epochs)
        gone = done - self._first_share
        return (1 - done) / gone * self._elapsed_s() if gone > 0 else None

    def _elapsed_s(self) -> float:
        return max(time.monotonic() - self._started_at, 1e-9)


def share_done(trainer: Trainer, num_epochs: float) -> float:
    """Say how much of a fit is done, in 0 to 1, by epochs or steps, whichever ends it; 0 where neither does."""
    epochs, steps = trainer.max_epochs or -1, trainer.max_steps
    return max(
        num_epochs / epochs if epochs > 0 else 0.0,
        trainer.global_step / steps if steps > 0 else 0.0,
    )


def epochs_after(trainer: Trainer, batch_idx: int) -> float:
    """Count the epochs of a fit after the batch `batch_idx` of the one at work."""
    return trainer.current_epoch + (batch_idx + 1) / max(1, trainer.num_training_batches)


class TrainingBar(RichProgressBar):
    """Lightning's bar of an epoch with the time left of the run, and a second one while answers are written."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = AnswerLines()
        self._answers: TaskID | None = None
        self._clock = RunClock()
        self._left: dict[str, str] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen to the module."""
        super().setup(trainer, pl_module, stage)
        _listen(trainer, pl_module, self._show)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self._clock.start(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the clock."""
        left_s = self._clock.left_s(trainer, epochs_after(trainer, batch_idx))
        self._left = {} if left_s is None else {"run left": format_duration(left_s)}
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what stands behind the bar: the time left of the run, then the metrics."""
        return {**self._left, **super().get_metrics(trainer, pl_module)}

    def _show(self, what: str, done: int, total: int) -> None:
        if self.progress is None:  # those of the first iteration, before there is a bar
            self._lines.show(what, done, total)
            return
        if self._answers not in self.progress.task_ids:  # another stage has a bar of its own
            self._answers = self.progress.add_task("", total=total)
        assert self._answers is not None
        if done == 0:
            self.progress.reset(self._answers, total=total, description=f"{what}: answers", visible=True)
        self.progress.update(self._answers, completed=done, visible=done < total)
        self.refresh()


class PlainProgress(Callback):
    """Prints epoch, optimizer step, rate, time left and the metrics meant for the progress bar.

    Args:
        interval_s: least time between two lines.
    """

    def __init__(self, interval_s: float = LINE_EVERY_S) -> None:
        self.interval_s = interval_s
        self._lines = AnswerLines(interval_s)
        self._clock = RunClock()
        self._printed_at = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen to the module."""
        _listen(trainer, pl_module, self._lines.show)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._clock.start(trainer)
        self._printed_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print if the last line is old enough."""
        if time.monotonic() - self._printed_at >= self.interval_s:
            self._print(trainer, num_epochs=epochs_after(trainer, batch_idx))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print a last line."""
        self._print(trainer, num_epochs=float(trainer.current_epoch))

    def _print(self, trainer: Trainer, *, num_epochs: float) -> None:
        if not trainer.is_global_zero:
            return
        self._printed_at = time.monotonic()
        parts = [f"step {trainer.global_step}", f"{self._clock.rate(trainer):.2f} steps/s"]
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            parts.insert(0, f"epoch {num_epochs:.1f}/{trainer.max_epochs}")
        left_s = self._clock.left_s(trainer, num_epochs)
        if left_s is not None:
            parts.append(f"{format_duration(left_s)} left")
        metrics = [f"{name} {float(value):.4g}" for name, value in trainer.progress_bar_metrics.items()]
        print(" · ".join([*parts, *metrics]), file=sys.stderr, flush=True)


def _listen(trainer: Trainer, pl_module: LightningModule, show: ProgressCallback) -> None:
    """Have the module tell `show` of its answers, on the first rank."""
    if isinstance(pl_module, PolicyModule) and trainer.is_global_zero:
        pl_module.progress_callback = show
