"""Pass@k of one task, and of a batch by task and group. It grades nothing.

The estimator is the unbiased one of Chen et al. 2021 (arXiv 2107.03374, equation 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean

from executor.types import Outcome, Status, Task


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Probability that at least one of k samples, drawn without replacement from those taken, is correct.

    Args:
        num_samples: samples taken of the task (n).
        num_correct: how many of them passed (c).
        k: how many one may draw.

    Raises:
        ValueError: k is not within 1 and num_samples, or num_correct not within 0 and num_samples.
    """
    if not 1 <= k <= num_samples:
        raise ValueError(f"pass@{k} needs k of at least 1 and at least k samples of a task; there are {num_samples}")
    if not 0 <= num_correct <= num_samples:
        raise ValueError(f"{num_correct} correct samples of {num_samples} cannot be")
    return 1.0 - comb(num_samples - num_correct, k) / comb(num_samples, k)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCount:
    """The samples of one task: those graded (n), those that passed (c), and pass@k for each k of at most n."""

    task_id: str
    group: str | None
    num_samples: int
    num_correct: int
    pass_at_k: dict[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCount:
    """Means over the tasks of a group: for each k over those with at least k graded samples."""

    num_tasks: int
    pass_at_k: dict[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassAtKSummary:
    """Counts by task, in order of appearance, and by group; tasks without a group are in none."""

    tasks: tuple[TaskCount, ...]
    groups: dict[str, GroupCount]


def summarize_batch(tasks: Sequence[Task], outcomes: Sequence[Outcome], ks: Sequence[int]) -> PassAtKSummary:
    """Count a batch.

    Args:
        tasks: the task of each sample.
        outcomes: of the same samples; infra faults are not counted.
        ks: the values of k.
    """
    first: dict[str, Task] = {}
    passed: dict[str, list[bool]] = {}
    for task, outcome in zip(tasks, outcomes, strict=True):
        first.setdefault(task.task_id, task)
        passes = passed.setdefault(task.task_id, [])
        if outcome.status is not Status.INFRA:
            passes.append(outcome.passed)
    counts = tuple(
        TaskCount(
            task_id=task_id,
            group=first[task_id].group,
            num_samples=len(passes),
            num_correct=sum(passes),
            pass_at_k={k: pass_at_k(len(passes), sum(passes), k) for k in ks if k <= len(passes)},
        )
        for task_id, passes in passed.items()
    )
    groups = dict.fromkeys(count.group for count in counts if count.group is not None)
    return PassAtKSummary(tasks=counts, groups={group: _summarize_group(counts, group, ks) for group in groups})


def _summarize_group(counts: Sequence[TaskCount], group: str, ks: Sequence[int]) -> GroupCount:
    members = [count for count in counts if count.group == group]
    estimates = {k: [count.pass_at_k[k] for count in members if k in count.pass_at_k] for k in ks}
    return GroupCount(num_tasks=len(members), pass_at_k={k: fmean(found) for k, found in estimates.items() if found})
