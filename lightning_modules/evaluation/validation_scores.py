"""Means over a validation or test epoch, weighted and right across ranks of unequal shares.

`self.log(..., batch_size=n, sync_dist=True)` of Lightning 2.6 averages the integer weights of ranks and drops the
fraction, so a mean over few tasks on two ranks comes out wrong; these go through torchmetrics instead.
"""

import torch
from torch import Tensor
from torchmetrics import MeanMetric, Metric

from executor.types import Status
from lightning_modules.evaluation.pass_at_k import PassAtK
from lightning_modules.evaluation.records import Evaluation


class ValidationScores:
    """Collects what the tags of one epoch are the means of; every rank must add the same tags.

    Args:
        device: where the sums live, that of the module.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._metrics: dict[str, Metric] = {}

    def add_mean(self, tag: str, value: float | Tensor, weight: float | Tensor) -> None:
        """Add `value` to the mean of `tag`, counting `weight` times."""
        self._metrics.setdefault(tag, MeanMetric().to(self._device)).update(value, weight)

    def add_greedy(self, split: str, evaluation: Evaluation, *, evaluate_s: float) -> None:
        """Add the greedy completions of this rank's tasks of a split."""
        passed = torch.tensor(list(evaluation.greedy_scores().values()), device=self._device)
        pass_rate = self._metrics.setdefault(f"pass_at_k/{split}/greedy", PassAtK((1,)).to(self._device))
        pass_rate.update(torch.ones_like(passed), passed)
        completions = [task.greedy for task in evaluation.tasks if task.greedy is not None]
        count = len(completions)
        shares = {
            f"status/{split}/{status}": number
            for status, number in evaluation.statuses(greedy=True).items()
            if status != Status.PASSED
        }
        shares[f"completions/{split}/mean_length"] = sum(item.num_tokens for item in completions)
        shares[f"completions/{split}/eos_frac"] = sum(item.finished for item in completions)
        for tag, total in shares.items():
            self.add_mean(tag, total / max(1, count), count)
        self.add_mean(f"time/{split}/evaluate_s", evaluate_s, 1)

    def compute(self) -> dict[str, Tensor]:
        """Reduce over ranks: tag -> float32 scalar, in the order in which tags were first added."""
        return {tag: metric.compute().float() for tag, metric in self._metrics.items()}
