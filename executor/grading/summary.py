"""From the verdicts of a batch to counts and pass@k, for each task and each group. It judges and runs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from executor.grading.pass_at_k import pass_at_k
from executor.types import Outcome, Status, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCount:
    """The samples of one task: those judged (n), those that passed (c), and pass@k for each k of at most n."""

    task_id: str
    group: str | None
    num_samples: int
    num_correct: int
    pass_at_k: dict[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCount:
    """Means over the tasks of a group: for each k over those with at least k judged samples."""

    num_tasks: int
    pass_at_k: dict[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Counts by task, in order of appearance, and by group; tasks without a group are in none."""

    tasks: tuple[TaskCount, ...]
    groups: dict[str, GroupCount]


def report_of(tasks: Sequence[Task], outcomes: Sequence[Outcome], ks: Sequence[int]) -> Report:
    """Count a batch.

    Args:
        tasks: the task of each sample.
        outcomes: of the same samples; faults of ours count neither as tried nor as failed.
        ks: the values of k.
    """
    first: dict[str, Task] = {}
    passed: dict[str, list[bool]] = {}
    for task, outcome in zip(tasks, outcomes, strict=True):
        first.setdefault(task.task_id, task)
        verdicts = passed.setdefault(task.task_id, [])
        if outcome.status is not Status.INFRA:
            verdicts.append(outcome.passed)
    counts = tuple(
        TaskCount(
            task_id=task_id,
            group=first[task_id].group,
            num_samples=len(verdicts),
            num_correct=sum(verdicts),
            pass_at_k={k: pass_at_k(len(verdicts), sum(verdicts), k) for k in ks if k <= len(verdicts)},
        )
        for task_id, verdicts in passed.items()
    )
    groups = dict.fromkeys(count.group for count in counts if count.group is not None)
    return Report(tasks=counts, groups={group: _group_count(counts, group, ks) for group in groups})


def _group_count(counts: Sequence[TaskCount], group: str, ks: Sequence[int]) -> GroupCount:
    members = [count for count in counts if count.group == group]
    estimates = {k: [count.pass_at_k[k] for count in members if k in count.pass_at_k] for k in ks}
    return GroupCount(num_tasks=len(members), pass_at_k={k: fmean(found) for k, found in estimates.items() if found})
