"""pass@k and the other scores of a validation epoch as torchmetrics, correct under any number of ranks and batches.

`self.log(..., batch_size=n, sync_dist=True)` of Lightning 2.6 averages the integer weights of ranks and drops the
fraction, so a mean over few tasks on two ranks is wrong. `ValidationScores` avoids that.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import MeanMetric, Metric

from executor.types import Status
from lightning_modules.evaluation.records import Evaluation


def pass_at_k(num_samples: Tensor, num_correct: Tensor, k: int) -> Tensor:
    """Unbiased estimate of "at least one of k samples passes" (Chen et al. 2021, equation 1), by task.

    Args:
        num_samples: [B] graded samples, at least `k` each.
        num_correct: [B] samples that passed.
        k: at least 1.

    Returns:
        [B] float64: 1 - C(n - c, k) / C(n, k).

    Raises:
        ValueError: a task has fewer than `k` samples, or more correct ones than samples.
    """
    n, c = num_samples.double(), num_correct.double()
    if k < 1 or bool((n < k).any()) or bool(((c < 0) | (c > n)).any()):
        raise ValueError(f"pass@{k} needs k >= 1, at least k samples of each task, and no more correct than samples")
    failures = torch.ones_like(n)
    for i in range(k):  # k samples drawn without replacement, all of them failures
        failures = failures * ((n - c - i).clamp(min=0) / (n - i))
    return 1.0 - failures


class PassAtK(Metric):
    """Mean over tasks of the unbiased pass@k for several k, from (n, c) of each task.

    A task with fewer than k graded samples does not count for that k. State: the sum of the estimates and the number of
    tasks for each k; both add up over batches and ranks.

    Args:
        ks: the values of k.
    """

    full_state_update = False
    higher_is_better = True
    total: Tensor
    num_tasks: Tensor

    def __init__(self, ks: Sequence[int] = (1,)) -> None:
        super().__init__()
        if not ks or min(ks) < 1:
            raise ValueError(f"ks is {list(ks)}: at least one k, each at least 1")
        self.ks = tuple(ks)
        self.add_state("total", torch.zeros(len(self.ks), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("num_tasks", torch.zeros(len(self.ks), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, num_samples: Tensor, num_correct: Tensor) -> None:
        """Add tasks: [B] graded samples and [B] samples that passed, on any device."""
        num_samples, num_correct = num_samples.to(self.total.device), num_correct.to(self.total.device)
        for i, k in enumerate(self.ks):
            enough = num_samples >= k
            self.total[i] += pass_at_k(num_samples[enough], num_correct[enough], k).sum()
            self.num_tasks[i] += torch.count_nonzero(enough)

    def compute(self) -> Tensor:
        """[len(ks)] float64, a scalar where there is one k (torchmetrics squeezes); nan where no task was added."""
        return self.total / self.num_tasks

    def by_tag(self, template: str) -> dict[str, float]:
        """Compute over all ranks; the keys are the template with k filled in."""
        return {template.format(k=k): float(value) for k, value in zip(self.ks, self.compute().view(-1), strict=True)}


class ValidationScores:
    """Accumulates the means logged at the end of a validation or test epoch; every rank must add the same tags.

    Args:
        device: of the sums; that of the module.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._metrics: dict[str, Metric] = {}

    def add_mean(self, tag: str, value: float | Tensor, weight: float | Tensor) -> None:
        """Add `value` with `weight` to the mean of `tag`."""
        self._metrics.setdefault(tag, MeanMetric().to(self._device)).update(value, weight)

    def add_greedy(self, split: str, evaluation: Evaluation, *, evaluate_s: float) -> None:
        """Add the greedy completions of this rank's tasks of a split."""
        passed = torch.tensor(list(evaluation.greedy_scores().values()), device=self._device)
        pass_rate = self._metrics.setdefault(f"pass_at_k/{split}/greedy", PassAtK((1,)).to(self._device))
        pass_rate.update(torch.ones_like(passed), passed)
        completions = [task.greedy for task in evaluation.tasks if task.greedy is not None]
        count = len(completions)
        totals = {
            f"status/{split}/{status}": number
            for status, number in evaluation.statuses(greedy=True).items()
            if status != Status.PASSED
        }
        totals[f"completions/{split}/mean_length"] = sum(item.num_tokens for item in completions)
        totals[f"completions/{split}/eos_frac"] = sum(item.finished for item in completions)
        for tag, total in totals.items():
            self.add_mean(tag, total / max(1, count), count)
        self.add_mean(f"time/{split}/evaluate_s", evaluate_s, 1)

    def compute(self) -> dict[str, Tensor]:
        """Reduce over ranks: tag -> float32 scalar, in the order in which tags were first added."""
        return {tag: metric.compute().float() for tag, metric in self._metrics.items()}
