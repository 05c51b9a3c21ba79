"""pass@k as a torchmetrics metric: right under any number of ranks and minibatches."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric


def pass_at_k(num_samples: Tensor, num_correct: Tensor, k: int) -> Tensor:
    """Unbiased estimate of "one of k samples passes" (Chen et al. 2021, equation 1), task by task.

    Args:
        num_samples: [B] samples judged, at least `k` each.
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
    for i in range(k):  # k samples drawn one after the other, all of them failures
        failures = failures * ((n - c - i).clamp(min=0) / (n - i))
    return 1.0 - failures


class PassAtK(Metric):
    """Mean over tasks of the unbiased pass@k for several k, from (n, c) of each task.

    A task with fewer than k judged samples counts for no such k. State: for each k the sum of the estimates and the
    number of tasks; both add up over batches and ranks.

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
        """Add tasks: [B] samples judged and [B] samples that passed, on any device."""
        num_samples, num_correct = num_samples.to(self.total.device), num_correct.to(self.total.device)
        for i, k in enumerate(self.ks):
            enough = num_samples >= k
            self.total[i] += pass_at_k(num_samples[enough], num_correct[enough], k).sum()
            self.num_tasks[i] += torch.count_nonzero(enough)

    def compute(self) -> Tensor:
        """[len(ks)] float64, a scalar where there is one k (torchmetrics squeezes); nan where no task was added."""
        return self.total / self.num_tasks

    def by_tag(self, template: str) -> dict[str, float]:
        """Compute, over all ranks, and name each value by putting k into the template."""
        return {template.format(k=k): float(value) for k, value in zip(self.ks, self.compute().view(-1), strict=True)}
