"""Scores by what tasks are: by topic, depth, atom, language or wording. Pure; nothing is sampled or run."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from lightning_modules.evaluation.records import Evaluation, TaskResult
from lightning_modules.evaluation.statistics import Interval, score_interval


class GroupScore(NamedTuple):
    """A group of tasks: how many, their greedy pass@1, and the sampled one where there are samples."""

    num_tasks: int
    greedy: Interval | None
    sampled: Interval | None


GROUPS: Mapping[str, Callable[[TaskResult], tuple[str, ...]]] = {
    "depth": lambda task: (str(task.depth),) if task.depth else (),
    "language": lambda task: (task.language,) if task.depth else (),
    "wording": lambda task: (task.wording,) if task.depth else (),
    "topic": lambda task: task.topics,
    "atom": lambda task: task.atoms,
}
"""How tasks are grouped. A task counts in each group it belongs to: in that of every atom it holds."""


def breakdown(evaluation: Evaluation, by: str) -> dict[str, GroupScore]:
    """Score the groups of tasks, in the order of their names.

    Args:
        evaluation: tasks with their samples.
        by: a key of `GROUPS`.
    """
    members: dict[str, list[TaskResult]] = {}
    for task in evaluation.tasks:
        for group in GROUPS[by](task):
            members.setdefault(group, []).append(task)
    return {group: _score(tasks) for group, tasks in sorted(members.items())}


def _score(tasks: list[TaskResult]) -> GroupScore:
    part = Evaluation(tasks=tuple(tasks), settings={})
    greedy, sampled = part.greedy_scores(), part.scores(1)
    return GroupScore(
        num_tasks=len(tasks),
        greedy=score_interval(greedy) if greedy else None,
        sampled=score_interval(sampled) if sampled else None,
    )
