"""Progress of a training without a terminal: one plain line every few seconds instead of a bar."""

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class PlainProgress(Callback):
    """Prints epoch, optimizer step, rate, time left and the metrics meant for the progress bar.

    Args:
        interval_s: least time between two lines.
    """

    def __init__(self, interval_s: float = 10.0) -> None:
        self.interval_s = interval_s
        self._started_at = self._printed_at = 0.0
        self._first_step = 0
        self._first_epoch = 0.0

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


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
