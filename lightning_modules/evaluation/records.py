"""What a policy did on tasks, sample by sample, with the verdicts: records, and the scores that follow from them.

An infrastructure fault is no verdict: such a sample counts neither as tried nor as failed. Scores are dictionaries from
task id to an estimate in [0, 1]; `lightning_modules.evaluation.statistics` makes intervals and paired differences from
them.
Nothing is sampled or run here.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from executor.grading.pass_at_k import pass_at_k
from executor.types import Status

GREEDY = -1
"""Number of the greedy completion of a task, where sampled ones have 0, 1, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSample:
    """One completion and its verdict; `status` is a value of `executor.types.Status`."""

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
    """What a policy did on one task; `greedy` is None where it was not asked for.

    `depth` is 0, and there are no atoms, where we did not compose the task.
    """

    task_id: str
    prompt: str
    language: str
    depth: int
    greedy: JudgedSample | None
    samples: tuple[JudgedSample, ...]
    atoms: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    wording: str = "seen"

    @property
    def num_samples(self) -> int:
        """Count the sampled completions that were judged (n of pass@k)."""
        return sum(sample.status != Status.INFRA for sample in self.samples)

    @property
    def num_correct(self) -> int:
        """Count the sampled completions that passed (c of pass@k)."""
        return sum(sample.passed for sample in self.samples)

    def completions(self) -> tuple[JudgedSample, ...]:
        """Return the greedy completion, if there is one, and the samples."""
        return (self.greedy, *self.samples) if self.greedy is not None else self.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A policy on a set of tasks; `settings` says how it was sampled, in plain JSON values."""

    tasks: tuple[TaskResult, ...]
    settings: Mapping[str, Any]

    def scores(self, k: int) -> dict[str, float]:
        """Estimate pass@k of each task from its samples; tasks with fewer than k judged samples are left out."""
        return {
            task.task_id: pass_at_k(task.num_samples, task.num_correct, k)
            for task in self.tasks
            if task.num_samples >= k
        }

    def greedy_scores(self) -> dict[str, float]:
        """Return 1.0 or 0.0 for each task whose greedy completion was judged."""
        return {
            task.task_id: float(task.greedy.passed)
            for task in self.tasks
            if task.greedy is not None and task.greedy.status != Status.INFRA
        }

    def statuses(self, *, greedy: bool = False) -> dict[str, int]:
        """Count the samples (or the greedy completions) by status, every status named."""
        found = Counter(
            sample.status
            for task in self.tasks
            for sample in ((task.greedy,) if greedy else task.samples)
            if sample is not None
        )
        return {status.value: found[status.value] for status in Status}

    def to_json(self) -> dict[str, Any]:
        """Turn into plain JSON values."""
        return {"settings": dict(self.settings), "tasks": [asdict(task) for task in self.tasks]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Evaluation":
        """Read what `to_json` gave.

        Raises:
            ValueError: `data` is something else.
        """
        try:
            tasks = tuple(_task_result(row) for row in data["tasks"])
            return cls(tasks=tasks, settings=dict(data["settings"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an evaluation of this project: {error}") from error


def _task_result(row: Mapping[str, Any]) -> TaskResult:
    greedy = row["greedy"]
    fields = {name: row[name] for name in ("task_id", "prompt", "language", "depth")}
    return TaskResult(
        **fields,
        atoms=tuple(row.get("atoms", ())),
        topics=tuple(row.get("topics", ())),
        wording=row.get("wording", "seen"),
        greedy=None if greedy is None else JudgedSample(**greedy),
        samples=tuple(JudgedSample(**sample) for sample in row["samples"]),
    )
