"""Progress of a training: Lightning's bar on a terminal, elsewhere one plain line every few seconds.

Both also tell of answers that are being written, which with a large model takes minutes between two steps.
"""

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, RichProgressBar
from rich.progress import TaskID

from cli.count_progress import LINE_EVERY_S
from lightning_modules.policy_module import OnAnswered, PolicyModule


class AnswerLines:
    """Plain lines on stderr, one every few seconds, about answers that are being written.

    Args:
        interval_s: least time between two lines, and before the first.
    """

    def __init__(self, interval_s: float = LINE_EVERY_S) -> None:
        self._interval_s = interval_s
        self._started_at = self._printed_at = 0.0

    def show(self, what: str, done: int, total: int) -> None:
        """Print if the last line, or the beginning (`done` 0), is old enough; fits `PolicyModule.on_answered`."""
        now = time.monotonic()
        if done == 0:
            self._started_at = self._printed_at = now
        elif now - self._printed_at >= self._interval_s:
            self._printed_at = now
            rate = done / (now - self._started_at)
            left = _duration((total - done) / rate)
            print(f"{what}: answers {done}/{total} · {rate:.3g}/s · {left} left", file=sys.stderr, flush=True)


class TrainingBar(RichProgressBar):
    """Lightning's bar, and a second one below it while answers are written."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = AnswerLines()
        self._answers: TaskID | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen to the module."""
        super().setup(trainer, pl_module, stage)
        _listen(trainer, pl_module, self._show)

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
        self._started_at = self._printed_at = 0.0
        self._first_step = 0
        self._first_epoch = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen to the module."""
        _listen(trainer, pl_module, self._lines.show)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started_at = self._printed_at = time.monotonic()
        self._first_step = trainer.global_step
        self._first_epoch = float(trainer.current_epoch)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print if the last line is old enough."""
        if time.monotonic() - self._printed_at >= self.interval_s:
            self._print(
                trainer, num_epochs=trainer.current_epoch + (batch_idx + 1) / max(1, trainer.num_training_batches)
            )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print a last line."""
        self._print(trainer, num_epochs=float(trainer.current_epoch))

    def _print(self, trainer: Trainer, *, num_epochs: float) -> None:
        if not trainer.is_global_zero:
            return
        self._printed_at = time.monotonic()
        elapsed_s = max(self._printed_at - self._started_at, 1e-9)
        rate = (trainer.global_step - self._first_step) / elapsed_s
        parts = [f"step {trainer.global_step}", f"{rate:.2f} steps/s"]
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            parts.insert(0, f"epoch {num_epochs:.1f}/{trainer.max_epochs}")
            done = num_epochs - self._first_epoch
            if done > 0:
                parts.append(f"{_duration((trainer.max_epochs - num_epochs) / done * elapsed_s)} left")
        metrics = [f"{name} {float(value):.4g}" for name, value in trainer.progress_bar_metrics.items()]
        print(" · ".join([*parts, *metrics]), file=sys.stderr, flush=True)


def _listen(trainer: Trainer, pl_module: LightningModule, show: OnAnswered) -> None:
    """Have the module tell `show` of its answers, on the first rank."""
    if isinstance(pl_module, PolicyModule) and trainer.is_global_zero:
        pl_module.on_answered = show


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
