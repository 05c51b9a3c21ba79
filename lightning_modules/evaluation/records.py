"""Results of an evaluation: graded completions by task, and the scores that follow from them.

A completion with the status `infra` counts neither as attempted nor as failed. Scores map task ids to estimates in
[0, 1]; `lightning_modules.evaluation.statistics` computes intervals from them. Nothing is sampled or run here.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from executor.grading.pass_at_k import pass_at_k
from executor.types import Status

GREEDY = -1
"""Number of the greedy completion of a task; samples have the numbers 0, 1, ..."""
GREEDY_METRIC = "pass@1 greedy"


def name_metric(k: int) -> str:
    """Name the metric that `Evaluation.scores` computes: `pass@8 sampled`."""
    return f"pass@{k} sampled"


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedCompletion:
    """One completion with its outcome; `status` is a value of `executor.types.Status`."""

    completion: str
    num_tokens: int
    finished: bool
    status: str
    num_passed: int
    num_tests: int

    @property
    def passed(self) -> bool:
        return self.status == Status.PASSED


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """The completions of one task; `greedy` is None where none was generated.

    `depth` and `num_steps` are 0, and `atoms` and `shape` are empty, for tasks that are not compositions of atoms.
    """

    task_id: str
    prompt: str
    language: str
    depth: int
    greedy: GradedCompletion | None
    samples: tuple[GradedCompletion, ...]
    atoms: tuple[str, ...] = ()
    num_steps: int = 0
    shape: str = ""
    topics: tuple[str, ...] = ()
    wording: str = "in_distribution"

    @property
    def num_samples(self) -> int:
        """Count the samples that were graded (n of pass@k)."""
        return sum(sample.status != Status.INFRA for sample in self.samples)

    @property
    def num_correct(self) -> int:
        """Count the samples that passed (c of pass@k)."""
        return sum(sample.passed for sample in self.samples)

    def completions(self) -> tuple[GradedCompletion, ...]:
        """Return the greedy completion, if there is one, and the samples."""
        return (self.greedy, *self.samples) if self.greedy is not None else self.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Results of one model on a set of tasks; `settings` holds how completions were sampled, as plain JSON values."""

    tasks: tuple[TaskResult, ...]
    settings: Mapping[str, Any]

    def select_depth(self, depth: int | None) -> "Evaluation":
        """Return the results of the tasks of one depth; None keeps all."""
        tasks = self.tasks if depth is None else tuple(task for task in self.tasks if task.depth == depth)
        return Evaluation(tasks=tasks, settings=self.settings)

    def scores(self, k: int) -> dict[str, float]:
        """Estimate pass@k of each task from its samples; tasks with fewer than k graded samples are left out."""
        return {
            task.task_id: pass_at_k(task.num_samples, task.num_correct, k)
            for task in self.tasks
            if task.num_samples >= k
        }

    def greedy_scores(self) -> dict[str, float]:
        """Return 1.0 or 0.0 for each task whose greedy completion was graded."""
        return {
            task.task_id: float(task.greedy.passed)
            for task in self.tasks
            if task.greedy is not None and task.greedy.status != Status.INFRA
        }

    def scores_by_metric(self, metric: str) -> dict[str, float]:
        """Return the scores of a metric by its name, `GREEDY_METRIC` or that of `name_metric`.

        Raises:
            ValueError: there is no such metric.
        """
        if metric == GREEDY_METRIC:
            return self.greedy_scores()
        found = re.fullmatch(r"pass@(\d+) sampled", metric)
        if found is None:
            raise ValueError(f"metric is {metric!r}: it must be {GREEDY_METRIC!r} or {name_metric(1)!r}")
        return self.scores(int(found[1]))

    def metric_scores(self, ks: Sequence[int]) -> dict[str, dict[str, float]]:
        """Return the scores of greedy pass@1 and of pass@k for each k, by name of the metric."""
        return {GREEDY_METRIC: self.greedy_scores(), **{name_metric(k): self.scores(k) for k in ks}}

    def statuses(self, *, greedy: bool = False) -> dict[str, int]:
        """Count the samples (or the greedy completions) by status; every status is a key."""
        found = Counter(
            sample.status
            for task in self.tasks
            for sample in ((task.greedy,) if greedy else task.samples)
            if sample is not None
        )
        return {status.value: found[status.value] for status in Status}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"settings": dict(self.settings), "tasks": [asdict(task) for task in self.tasks]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Evaluation":
        """Read the output of `to_json`.

        Raises:
            ValueError: `data` has another form.
        """
        try:
            tasks = tuple(_parse_task(row) for row in data["tasks"])
            return cls(tasks=tasks, settings=dict(data["settings"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a stored evaluation: {error}") from error


def _parse_task(row: Mapping[str, Any]) -> TaskResult:
    greedy = row["greedy"]
    fields = {name: row[name] for name in ("task_id", "prompt", "language", "depth")}
    return TaskResult(
        **fields,
        atoms=tuple(row.get("atoms", ())),
        num_steps=row.get("num_steps", 0),
        shape=row.get("shape", ""),
        topics=tuple(row.get("topics", ())),
        wording=row.get("wording", "in_distribution"),
        greedy=None if greedy is None else GradedCompletion(**greedy),
        samples=tuple(GradedCompletion(**sample) for sample in row["samples"]),
    )
