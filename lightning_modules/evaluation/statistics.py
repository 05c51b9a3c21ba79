"""Bootstrap intervals over tasks: of a mean score, of the paired difference of two models, and of groups of tasks.

The intervals express the choice of tasks and the sampling on them for a given model. How a model varies between
training seeds is not part of them; `cli.study.verdicts` has intervals over seeds and tasks.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lightning_modules.evaluation.records import Evaluation, TaskResult

NUM_RESAMPLES = 4000
_CHUNK = 100


class Interval(NamedTuple):
    """A mean with the ends of its interval."""

    mean: float
    low: float
    high: float


class GroupScore(NamedTuple):
    """Scores of a group of tasks: greedy pass@1, and sampled pass@1 where there are samples."""

    num_tasks: int
    greedy: Interval | None
    sampled: Interval | None


GROUPS: Mapping[str, Callable[[TaskResult], tuple[str, ...]]] = {
    "depth": lambda task: (str(task.depth),) if task.depth else (),
    "steps": lambda task: (str(task.num_steps),) if task.num_steps else (),
    "shape": lambda task: (f"depth {task.depth}, {task.shape}",) if task.shape else (),
    "language": lambda task: (task.language,) if task.depth else (),
    "wording": lambda task: (task.wording,) if task.depth else (),
    "topic": lambda task: task.topics,
    "atom": lambda task: task.atoms,
}
"""How tasks are grouped. A task counts in each group it belongs to, e.g. in that of every atom it contains."""


class DepthScore(NamedTuple):
    """Scores of the tasks of one depth."""

    num_tasks: int
    greedy: float | None
    """pass@1 of the greedy completions; None where there are none."""
    pass_at_k: Mapping[int, float]
    """By k: 1, 2, 4, ... and the number of samples."""
    truncated_frac: float
    """Of all completions, those that reached `max_new_tokens`."""


def constant_interval(mean: float, *, floor: float, num_tasks: int, confidence: float = 0.95) -> Interval:
    """Interval of a mean over tasks that all have the same value, where the bootstrap has no width.

    The ends are by how much the mean could move if a fraction of up to 1 - tail**(1/T) of all tasks, absent among these
    T, differed. For a pass rate of 0 or 1 this is the exact binomial interval (Clopper and Pearson 1934).

    Args:
        mean: the value.
        floor: minimum of a value: 0 for scores, -1 for differences; the maximum is 1.
        num_tasks: T.
        confidence: two-sided; tail = (1 - confidence) / 2.
    """
    unseen = 1 - ((1 - confidence) / 2) ** (1 / num_tasks)
    return Interval(mean, mean - (mean - floor) * unseen, mean + (1 - mean) * unseen)


def mean_interval(
    scores: Mapping[str, float], *, floor: float = 0.0, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Interval of the mean of `scores` (task id -> score) over tasks.

    The percentile bootstrap; `constant_interval` where all scores are the same.

    Args:
        scores: by task, from `floor` to 1.
        floor: minimum of a score: 0 for pass rates, -1 for their differences.
        seed: of the resampling.
        confidence: two-sided.

    Raises:
        ValueError: there are no scores.
    """
    if not scores:
        raise ValueError("no task was scored: an interval needs at least one")
    values = np.array([scores[task_id] for task_id in sorted(scores)], dtype=np.float64)
    if np.all(values == values[0]):
        return constant_interval(float(values[0]), floor=floor, num_tasks=len(values), confidence=confidence)
    random = np.random.default_rng(seed)
    means = np.concatenate(
        [
            values[random.integers(len(values), size=(_CHUNK, len(values)))].mean(axis=1)
            for _ in range(NUM_RESAMPLES // _CHUNK)
        ]
    )
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(float(values.mean()), float(low), float(high))


def paired_difference(
    after: Mapping[str, float], before: Mapping[str, float], *, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """Interval of the mean of `after - before` by task; tasks are resampled in pairs.

    Raises:
        ValueError: the two sides have different tasks, or none.
    """
    if after.keys() != before.keys():
        differing = sorted(after.keys() ^ before.keys())
        raise ValueError(
            f"a paired difference needs the same tasks on both sides: {len(differing)} are on one side only, "
            f"for example {differing[0]}"
        )
    differences = {task_id: after[task_id] - before[task_id] for task_id in after}
    return mean_interval(differences, floor=-1.0, seed=seed, confidence=confidence)


def metric_intervals(evaluation: Evaluation, ks: Sequence[int]) -> dict[str, Interval]:
    """Return the interval of greedy pass@1 and of pass@k for each k; metrics without scores are left out."""
    return {name: mean_interval(scores) for name, scores in evaluation.metric_scores(ks).items() if scores}


def score_groups(evaluation: Evaluation, by: str) -> dict[str, GroupScore]:
    """Score groups of tasks, sorted by name.

    Args:
        evaluation: graded tasks.
        by: a key of `GROUPS`.
    """
    members: dict[str, list[TaskResult]] = {}
    for task in evaluation.tasks:
        for group in GROUPS[by](task):
            members.setdefault(group, []).append(task)
    return {group: _score_tasks(tasks) for group, tasks in sorted(members.items())}


def score_depths(evaluation: Evaluation) -> dict[int, DepthScore]:
    """Score the tasks of each depth with as many k as there are samples; tasks without a depth are left out."""
    found = {}
    for depth in sorted({task.depth for task in evaluation.tasks if task.depth}):
        part = evaluation.select_depth(depth)
        most = max(task.num_samples for task in part.tasks)
        ks = sorted({2**power for power in range(most.bit_length())} | {most}) if most else []
        greedy = list(part.greedy_scores().values())
        completions = [completion for task in part.tasks for completion in task.completions()]
        found[depth] = DepthScore(
            num_tasks=len(part.tasks),
            greedy=_mean(greedy) if greedy else None,
            pass_at_k={k: _mean(list(part.scores(k).values())) for k in ks},
            truncated_frac=_mean([not completion.finished for completion in completions]) if completions else 0.0,
        )
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _score_tasks(tasks: list[TaskResult]) -> GroupScore:
    part = Evaluation(tasks=tuple(tasks), settings={})
    greedy, sampled = part.greedy_scores(), part.scores(1)
    return GroupScore(
        num_tasks=len(tasks),
        greedy=mean_interval(greedy) if greedy else None,
        sampled=mean_interval(sampled) if sampled else None,
    )
