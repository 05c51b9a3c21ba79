"""Samples of a policy on tasks, run and judged while others are still being written.

What was made before (`kept`) is not made again: an evaluation that was interrupted goes on, and kept completions can be
judged anew. The records are those of `lightning_modules.evaluation.records`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from datamodules.batches import TaskPrompt
from executor.api import Executor
from executor.grading.grader import Grading
from executor.types import DEFAULT_LIMITS, Limits, Outcome, Status, Submission, Task
from lightning_modules.evaluation.records import GREEDY, Evaluation, JudgedSample, TaskResult
from lightning_modules.generation.generate import generate
from lightning_modules.generation.sampler import Completion, SamplingParams, stream_id

Name = tuple[str, int]
"""A completion: task id, and number of the sample or `GREEDY`."""
OnJudged = Callable[[str, int, JudgedSample], None]
"""Called with (task id, number, sample) as each further completion is judged, maybe from another thread."""
_NOTHING: Mapping[Name, JudgedSample] = {}


class _Verdicts:
    """Hands completions in, and puts what comes back together with them."""

    def __init__(self, plan: Sequence[Name], tasks: Mapping[str, Task], on_judged: OnJudged) -> None:
        self._plan = plan
        self._tasks = tasks
        self._on_judged = on_judged
        self._pending: list[tuple[int, JudgedSample]] = []
        """By position in the grading: number in the plan, and the completion without a verdict."""

    def add(self, grading: Grading, index: int, written: JudgedSample) -> None:
        """Have the completion with number `index` of the plan judged; one thread may call."""
        self._pending.append((index, written))  # before it is handed in: the verdict may come at once
        grading.add(Submission(task=self._tasks[self._plan[index][0]], completion=written.completion))

    def take(self, position: int, outcome: Outcome) -> None:
        """Pass a verdict on."""
        index, written = self._pending[position]
        self._on_judged(*self._plan[index], _judged(written, outcome))

    def samples(self, outcomes: Sequence[Outcome]) -> dict[Name, JudgedSample]:
        """Put all of them together."""
        pairs = zip(self._pending, outcomes, strict=True)
        return {self._plan[index]: _judged(written, outcome) for (index, written), outcome in pairs}


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
    kept: Mapping[Name, JudgedSample] = _NOTHING,
    on_judged: OnJudged = lambda task_id, number, sample: None,
) -> Evaluation:
    """Complete each prompt greedily and `num_samples` times at `temperature`, run all of it, judge it.

    Programs are run while others are still being generated. What is drawn for a task depends on (seed, task id, number
    of the sample) alone, not on the other tasks or on `batch_size`; the model runs in its own precision, whatever
    autocast is on outside, or with a copy of its weights in `dtype`. A completion ends at the first text of `stop`,
    which is no part of it. Completions in `kept` are taken as they are; those without a verdict are run again.

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
    numbers = ([GREEDY] if greedy else []) + list(range(num_samples))
    plan = [(prompt.task_id, number) for number in numbers for prompt in prompts]
    final = {name: kept[name] for name in plan if name in kept and kept[name].status != Status.INFRA}
    prompt_of = {prompt.task_id: prompt for prompt in prompts}
    tasks = {task_id: prompt.task for task_id, prompt in prompt_of.items()}
    verdicts = _Verdicts(plan, tasks, on_judged)
    with executor.grading(limits, on_result=verdicts.take) as grading:
        for index, name in enumerate(plan):
            if name in kept and name not in final:
                verdicts.add(grading, index, kept[name])
        for part_temperature, is_greedy in ((0.0, True), (temperature, False)):
            part = [i for i, name in enumerate(plan) if (name[1] == GREEDY) == is_greedy and name not in kept]

            def finished(place: int, completion: Completion, part: list[int] = part) -> None:
                verdicts.add(grading, part[place], _written(completion))

            with torch.autocast(causal_lm.device.type, enabled=False):
                generate(
                    causal_lm,
                    tokenizer,
                    [prompt_of[plan[index][0]].prompt_ids for index in part],
                    SamplingParams(max_new_tokens=max_new_tokens, temperature=part_temperature, stop=tuple(stop)),
                    stream_ids=[stream_id(*plan[index]) for index in part],
                    seed=seed,
                    batch_size=batch_size,
                    dtype=dtype,
                    on_completion=finished,
                )
        samples = final | verdicts.samples(grading.outcomes())
    return Evaluation(tasks=collect(prompts, samples, num_samples=num_samples), settings=settings)


def judge_again(
    prompts: Sequence[TaskPrompt],
    kept: Mapping[Name, JudgedSample],
    executor: Executor,
    *,
    limits: Limits = DEFAULT_LIMITS,
    on_judged: OnJudged = lambda task_id, number, sample: None,
) -> dict[Name, JudgedSample]:
    """Run kept completions again, whatever their verdicts were; each must belong to one of the prompts."""
    plan = list(kept)
    tasks = {prompt.task_id: prompt.task for prompt in prompts}
    verdicts = _Verdicts(plan, tasks, on_judged)
    with executor.grading(limits, on_result=verdicts.take) as grading:
        for index, name in enumerate(plan):
            verdicts.add(grading, index, kept[name])
        return verdicts.samples(grading.outcomes())


def collect(
    prompts: Sequence[TaskPrompt], samples: Mapping[Name, JudgedSample], *, num_samples: int
) -> tuple[TaskResult, ...]:
    """Put samples in the order of their tasks; those that are missing are left out."""
    return tuple(
        TaskResult(
            task_id=prompt.task_id,
            prompt=prompt.prompt,
            language=prompt.language,
            depth=prompt.depth,
            greedy=samples.get((prompt.task_id, GREEDY)),
            samples=tuple(
                samples[prompt.task_id, number] for number in range(num_samples) if (prompt.task_id, number) in samples
            ),
            atoms=tuple(prompt.atoms),
            topics=tuple(prompt.topics),
            wording=prompt.wording,
        )
        for prompt in prompts
    )


def _written(completion: Completion) -> JudgedSample:
    """Make the record of a completion that has no verdict yet."""
    return JudgedSample(
        completion=completion.text,
        num_tokens=len(completion.token_ids),
        finished=completion.finished,
        status=Status.INFRA.value,
        num_passed=0,
        num_tests=0,
    )


def _judged(written: JudgedSample, outcome: Outcome) -> JudgedSample:
    return replace(written, status=outcome.status.value, num_passed=outcome.num_passed, num_tests=outcome.num_tests)
