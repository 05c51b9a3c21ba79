"""Samples of a policy on tasks, run and judged: per task how many passed, and what became of the rest.

An infrastructure fault is no verdict: such a sample counts neither as tried nor as failed. Scores are dictionaries from
task id to an estimate in [0, 1]; intervals and paired differences (`lightning_modules.intervals`) are made from them.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from datamodules.batches import TaskPrompt
from executor.client import Executor
from executor.pass_at_k import pass_at_k
from executor.schema import DEFAULT_LIMITS, Limits, Outcome, Status
from lightning_modules.drafts import Generated, Sampling
from lightning_modules.generation import generate
from lightning_modules.judging import Judging, tasks_of

GREEDY = -1
"""Number of the greedy completion of a task, where sampled ones have 0, 1, ..."""

OnJudged = Callable[[int], None]
"""Called with the number of further completions that were judged, maybe from another thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSample:
    """One completion and its verdict; `status` is a value of `executor.schema.Status`."""

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
    """What a policy did on one task; `greedy` is None where it was not asked for."""

    task_id: str
    prompt: str
    language: str
    depth: int
    greedy: JudgedSample | None
    samples: tuple[JudgedSample, ...]

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


def evaluate(
    causal_lm: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[TaskPrompt],
    executor: Executor,
    *,
    num_samples: int,
    temperature: float = 1.0,
    max_new_tokens: int,
    seed: int,
    batch_size: int,
    greedy: bool = True,
    stop: Sequence[str] = (),
    dtype: torch.dtype | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_judged: OnJudged = lambda num_judged: None,
) -> Evaluation:
    """Complete each prompt greedily and `num_samples` times at `temperature`, run all of it, judge it.

    Programs are run while others are still being generated. What is drawn for a task depends on (seed, task id, number
    of the sample) alone, not on the other tasks or on `batch_size`; the model runs in its own precision, whatever
    autocast is on outside, or with a copy of its weights in `dtype`. A completion ends at the first text of `stop`,
    which is no part of it.

    Raises:
        ValueError: nothing was asked for, or a prompt does not fit the model's context.
    """
    if num_samples < 0 or (num_samples == 0 and not greedy):
        raise ValueError(f"num_samples is {num_samples}: at least 1 is needed, or 0 with a greedy completion")
    settings = {
        "num_samples": num_samples,
        "temperature": temperature,
        "max_new_tokens": max_new_tokens,
        "seed": seed,
        "greedy": greedy,
        "stop": list(stop),
        "dtype": str(dtype or causal_lm.dtype).removeprefix("torch."),
    }
    plans = [
        ([(task, GREEDY) for task in range(len(prompts))] if greedy else [], 0.0),
        ([(task, number) for task in range(len(prompts)) for number in range(num_samples)], temperature),
    ]
    plan = [item for part, _ in plans for item in part]
    tasks = tasks_of(prompts)
    generated: list[Generated] = []
    with executor.grading(limits, on_result=lambda _index, _outcome: on_judged(1)) as grading:
        judging = Judging(grading, tokenizer, [tasks[task] for task, _ in plan], stop=stop)
        for part, part_temperature in plans:
            num_before = len(generated)
            with torch.autocast(causal_lm.device.type, enabled=False):
                generated += generate(
                    causal_lm,
                    [prompts[task].prompt_ids for task, _ in part],
                    [sample_id(prompts[task].task_id, number) for task, number in part],
                    sampling=Sampling(max_new_tokens=max_new_tokens, temperature=part_temperature, stop=tuple(stop)),
                    seed=seed,
                    eos_id=_token_id(tokenizer.eos_token_id),
                    pad_id=_token_id(tokenizer.pad_token_id),
                    batch_size=batch_size,
                    tokenizer=tokenizer,
                    dtype=dtype,
                    on_finished=lambda index, item, first=num_before: judging.add(first + index, item),
                )
        outcomes = judging.outcomes()
    samples = [_judged(*item) for item in zip(judging.completions(), generated, outcomes, strict=True)]
    return _collect(prompts, plan, samples, settings)


def sample_id(task_id: str, number: int) -> int:
    """Name the random numbers of one completion: 63 bits of a hash of the task and the number of the sample."""
    digest = hashlib.sha256(f"{task_id}\0{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _judged(completion: str, generated: Generated, outcome: Outcome) -> JudgedSample:
    return JudgedSample(
        completion=completion,
        num_tokens=len(generated.token_ids),
        finished=generated.finished,
        status=outcome.status.value,
        num_passed=outcome.num_passed,
        num_tests=outcome.num_tests,
    )


def _collect(
    prompts: Sequence[TaskPrompt],
    plan: Sequence[tuple[int, int]],
    samples: Sequence[JudgedSample],
    settings: Mapping[str, Any],
) -> Evaluation:
    greedy: dict[int, JudgedSample] = {}
    sampled: dict[int, list[JudgedSample]] = {task: [] for task in range(len(prompts))}
    for (task, number), sample in zip(plan, samples, strict=True):
        if number == GREEDY:
            greedy[task] = sample
        else:
            sampled[task].append(sample)
    results = tuple(
        TaskResult(
            task_id=prompt.task_id,
            prompt=prompt.prompt,
            language=prompt.language,
            depth=prompt.depth,
            greedy=greedy.get(task),
            samples=tuple(sampled[task]),
        )
        for task, prompt in enumerate(prompts)
    )
    return Evaluation(tasks=results, settings=settings)


def _task_result(row: Mapping[str, Any]) -> TaskResult:
    greedy = row["greedy"]
    fields = {name: row[name] for name in ("task_id", "prompt", "language", "depth")}
    return TaskResult(
        **fields,
        greedy=None if greedy is None else JudgedSample(**greedy),
        samples=tuple(JudgedSample(**sample) for sample in row["samples"]),
    )


def _token_id(value: Any) -> int:
    assert isinstance(value, int)  # tokenizers without these are refused when they are loaded
    return value
