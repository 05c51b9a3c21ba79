"""Speed of training, utilization of the device, and the time of the stages of an RL iteration.

Speeds are measured over the training steps: validation, checkpoints and collecting rollouts are excluded. All speeds
are those of one rank. Nothing here affects training.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

import time
from collections.abc import Mapping
from typing import Any

import psutil
from lightning.fabric.utilities.throughput import Throughput
from lightning.pytorch import Callback, LightningModule, Trainer

from datamodules.batches import RolloutBatch, SFTBatch
from lightning_modules.models.policy import Policy
from lightning_modules.training.flops import (
    measure_minibatch,
    minibatch_flops,
    peak_flops_per_s,
    peak_memory_mib,
    training_cost,
    training_dtype,
)

SAMPLING = ("prompts", "generate", "execute")
"""Stages of an RL iteration before its completions have rewards; their seconds are logged as `time/<stage>_s`."""
STAGES = (*SAMPLING, "logprob", "update")
"""Stages of an RL iteration."""
OVERLAPPED_STAGES = ("idle", "logprob", "update")
"""The stages if completions are sampled while others are trained: `idle` is the time of waiting for them."""
_SPEED_TAGS = {
    "device/items_per_sec": "throughput/train_tokens_per_s",
    "device/samples_per_sec": "throughput/samples_per_s",
    "device/mfu": "throughput/mfu",
}


class ThroughputMonitor(Callback):
    """Logs speed, model FLOPs utilization and peak memory of training, and the fractions of an iteration's time.

    Args:
        window_steps: Training steps (micro-batches) over which speeds are averaged.

    Raises:
        ValueError: `window_steps` is below 1.
    """

    def __init__(self, window_steps: int = 20) -> None:
        if window_steps < 1:
            raise ValueError(f"window_steps is {window_steps}: at least 1 is needed")
        self.window_steps = window_steps
        self._iteration_s: float | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._iteration_started_at = time.perf_counter()
        self._iteration_s = None
        self._cpu_times = psutil.cpu_times()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the weights and look up or measure the peak FLOPs of the device.

        Raises:
            ValueError: `pl_module` has no `Policy`.
        """
        policy = getattr(pl_module, "policy", None)
        if not isinstance(policy, Policy):
            raise ValueError(f"ThroughputMonitor: {type(pl_module).__name__} has no policy; remove the callback")
        self._cost = training_cost(policy)
        peak = peak_flops_per_s(pl_module.device, training_dtype(str(trainer.precision)))
        self._throughput = Throughput(peak, window_size=self.window_steps + 1)
        self._throughput.update(time=0.0, batches=0, samples=0, lengths=0, flops=0)
        self._train_s = 0.0
        self._num_batches = self._num_samples = self._num_tokens = 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log_time_fractions(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:  # fetching the first batch of an RL iteration collects its rollouts
            self._clock_at = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._clock_at = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: SFTBatch | RolloutBatch, batch_idx: int
    ) -> None:
        size = measure_minibatch(batch)
        now = time.perf_counter()
        self._train_s += now - self._clock_at
        self._clock_at = now
        self._num_batches += 1
        self._num_samples += size.num_samples
        self._num_tokens += size.num_tokens
        self._throughput.update(
            time=self._train_s,
            batches=self._num_batches,
            samples=self._num_samples,
            lengths=self._num_tokens,
            flops=minibatch_flops(self._cost, size),
        )
        speeds = self._throughput.compute()
        values = {tag: speeds[name] for name, tag in _SPEED_TAGS.items() if name in speeds}
        values["throughput/peak_memory_mib"] = peak_memory_mib(pl_module.device)
        pl_module.log_dict(values, batch_size=1)
        if isinstance(batch, RolloutBatch):
            padding_frac = 1 - size.num_tokens / size.num_positions
            pl_module.log(
                "rollout/padding_frac", padding_frac, on_step=False, on_epoch=True, sync_dist=True, batch_size=1
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        now = time.perf_counter()
        self._iteration_s = now - self._iteration_started_at
        self._iteration_started_at = now

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log_time_fractions(trainer)

    def _log_time_fractions(self, trainer: Trainer) -> None:
        """Log the time fractions of the last iteration; its stages are known only after `on_train_epoch_end`."""
        logged = trainer.callback_metrics
        stages = OVERLAPPED_STAGES if "time/idle_s" in logged else STAGES
        if self._iteration_s is None or any(f"time/{stage}_s" not in logged for stage in stages):
            return
        fractions = time_fractions({stage: float(logged[f"time/{stage}_s"]) for stage in stages}, self._iteration_s)
        fractions.setdefault("idle", sum(fractions.get(stage, 0.0) for stage in SAMPLING))
        before, self._cpu_times = self._cpu_times, psutil.cpu_times()
        fractions["cpu_idle"] = cpu_idle_fraction(before, self._cpu_times)
        self._iteration_s = None
        for logger in trainer.loggers:
            tags = {f"time/{stage}_frac": fraction for stage, fraction in fractions.items()}
            logger.log_metrics(tags, trainer.global_step - 1)


def cpu_idle_fraction(before: Any, after: Any) -> float:
    """Return the fraction of the time of all cores, between two results of `psutil.cpu_times`, in which nothing ran."""
    spent = {name: getattr(after, name) - getattr(before, name) for name in after._fields}
    total = sum(seconds for name, seconds in spent.items() if not name.startswith("guest"))  # part of user and nice
    return (spent["idle"] + spent.get("iowait", 0.0)) / total if total > 0 else 0.0


def time_fractions(stages_s: Mapping[str, float], whole_s: float) -> dict[str, float]:
    """Divide the seconds of each stage by those of the whole; `other` is the rest, so that all add up to 1.

    If the stages take longer than the whole (they are means over ranks, the whole is not), their sum is the whole.
    """
    total_s = max(whole_s, sum(stages_s.values()))
    fractions = {stage: seconds / total_s for stage, seconds in stages_s.items()}
    return fractions | {"other": 1.0 - sum(fractions.values())}
