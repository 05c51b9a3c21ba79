"""Sample completions of tasks from a model, grade them while others are still generated, and collect the results.

Completions that already exist are not generated again, so an interrupted evaluation can continue, and stored ones can
be regraded. The module loads no model and writes no file; the records are in `lightning_modules.evaluation.records`.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from datamodules.batches import TaskPrompt
from executor.api import Executor
from executor.grading.grader import Grading
from executor.types import DEFAULT_LIMITS, Limits, Outcome, Status, Submission
from lightning_modules.evaluation.records import GREEDY, Evaluation, GradedCompletion, TaskResult
from lightning_modules.generation.generate import generate
from lightning_modules.generation.rollout_engine import check_engine, open_engine
from lightning_modules.generation.sampler import Completion, SamplingParams, stream_id

CompletionKey = tuple[str, int]
"""Task id, and the number of the sample or `GREEDY`."""
OnGraded = Callable[[str, int, GradedCompletion], None]
"""Called with (task id, number, completion) as each completion is graded, possibly from another thread."""
_NONE: Mapping[CompletionKey, GradedCompletion] = {}


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """How completions are sampled and graded.

    Args:
        num_samples: samples per task in addition to the greedy completion; 0 = the greedy completion only.
        temperature: of the samples; above 0.
        max_new_tokens: longest completion, tokens.
        seed: of the samples. A sample depends on (seed, task id, number of the sample) alone.
        batch_size: completions generated at a time.
        greedy: whether each task also gets a greedy completion.
        stop: strings that end a completion and are not part of it.
        dtype: of the weights during generation, e.g. `bfloat16`; null = that of the model.
        engine: what generates: `native`, `transformers`, `vllm`, or the address of a vLLM server.
        limits: resources of each program.

    Raises:
        ValueError: nothing would be generated, or a number is out of range.
    """

    num_samples: int = 8
    temperature: float = 1.0
    max_new_tokens: int = 256
    seed: int = 0
    batch_size: int = 128
    greedy: bool = True
    stop: tuple[str, ...] = ()
    dtype: str | None = None
    engine: str = "native"
    limits: Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        if self.num_samples < 0 or (self.num_samples == 0 and not self.greedy):
            raise ValueError(f"num_samples is {self.num_samples}: it must be at least 1, or 0 with greedy completions")
        if not 0.0 < self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}: it must be above 0 (greedy completions are separate)")
        for name in ("max_new_tokens", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        check_engine(self.engine, key="engine")

    def to_json(self, causal_lm: PreTrainedModel) -> dict[str, Any]:
        """Return the settings that results depend on, as plain values."""
        return {
            "num_samples": self.num_samples,
            "temperature": self.temperature,
            "max_new_tokens": self.max_new_tokens,
            "seed": self.seed,
            "greedy": self.greedy,
            "stop": list(self.stop),
            "dtype": self.dtype or str(causal_lm.dtype).removeprefix("torch."),
            **({} if self.engine == "native" else {"engine": self.engine}),
        }


def evaluate(
    causal_lm: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[TaskPrompt],
    config: EvalConfig,
    *,
    executor: Executor,
    known: Mapping[CompletionKey, GradedCompletion] = _NONE,
    on_graded: OnGraded = lambda task_id, number, completion: None,
) -> Evaluation:
    """Complete each prompt greedily and `config.num_samples` times, run the programs, and grade them.

    Programs run while other completions are generated. The model computes in its own precision, whatever autocast is
    active around the call, or with a copy of its weights in `config.dtype`.

    Args:
        causal_lm: the model, on its device.
        tokenizer: that of the model.
        prompts: the tasks, as the model is prompted.
        config: sampling and limits.
        executor: runs the programs.
        known: completions from before, which are used as they are; those with the status `infra` are graded again.
        on_graded: progress callback, called for each new outcome.

    Raises:
        ValueError: a prompt does not fit the model's context.
    """
    numbers = ([GREEDY] if config.greedy else []) + list(range(config.num_samples))
    keys = [(prompt.task_id, number) for number in numbers for prompt in prompts]
    graded = {key: known[key] for key in keys if key in known and known[key].status != Status.INFRA}
    prompt_by_id = {prompt.task_id: prompt for prompt in prompts}
    queue = _GradingQueue(prompt_by_id, on_graded)
    with (
        executor.grading(config.limits, on_result=queue.report) as grading,
        _open_sampler(causal_lm, tokenizer, config) as sample,
    ):
        for key in keys:
            if key in known and key not in graded:
                queue.add(grading, key, known[key])
        for temperature in (0.0, config.temperature):
            missing = [key for key in keys if (key[1] == GREEDY) == (temperature == 0.0) and key not in known]

            def finished(index: int, completion: Completion, missing: list[CompletionKey] = missing) -> None:
                queue.add(grading, missing[index], _ungraded(completion))

            with torch.autocast(causal_lm.device.type, enabled=False):
                sample(
                    [prompt_by_id[task_id].prompt_ids for task_id, _ in missing],
                    SamplingParams(max_new_tokens=config.max_new_tokens, temperature=temperature, stop=config.stop),
                    stream_ids=[stream_id(*key) for key in missing],
                    seed=config.seed,
                    on_completion=finished,
                )
        graded |= queue.collect(grading.outcomes())
    tasks = collect_results(prompts, graded, num_samples=config.num_samples)
    return Evaluation(tasks=tasks, settings=config.to_json(causal_lm))


@contextmanager
def _open_sampler(
    causal_lm: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, config: EvalConfig
) -> Iterator[Callable[..., list[Completion]]]:
    """Return what generates: a function with the arguments of `RolloutEngine.generate`."""
    dtype = None if config.dtype is None else getattr(torch, config.dtype)
    if config.engine == "native":
        yield partial(generate, causal_lm, tokenizer, batch_size=config.batch_size, dtype=dtype)
        return
    with tempfile.TemporaryDirectory(prefix="atomforge-weights-") as folder:
        engine = open_engine(
            config.engine, tokenizer, batch_size=config.batch_size, dtype=dtype, folder=Path(folder, "weights")
        )
        try:
            engine.update_weights(causal_lm, version=0)
            yield engine.generate
        finally:
            engine.close()


def regrade(
    prompts: Sequence[TaskPrompt],
    known: Mapping[CompletionKey, GradedCompletion],
    *,
    executor: Executor,
    limits: Limits = DEFAULT_LIMITS,
    on_graded: OnGraded = lambda task_id, number, completion: None,
) -> dict[CompletionKey, GradedCompletion]:
    """Grade existing completions again, whatever their status; each must belong to one of the prompts."""
    queue = _GradingQueue({prompt.task_id: prompt for prompt in prompts}, on_graded)
    with executor.grading(limits, on_result=queue.report) as grading:
        for key, completion in known.items():
            queue.add(grading, key, completion)
        return queue.collect(grading.outcomes())


def collect_results(
    prompts: Sequence[TaskPrompt], graded: Mapping[CompletionKey, GradedCompletion], *, num_samples: int
) -> tuple[TaskResult, ...]:
    """Group completions by task, in the order of the prompts; missing completions are left out."""
    return tuple(
        TaskResult(
            task_id=prompt.task_id,
            prompt=prompt.prompt,
            language=prompt.language,
            depth=prompt.depth,
            greedy=graded.get((prompt.task_id, GREEDY)),
            samples=tuple(
                graded[prompt.task_id, number] for number in range(num_samples) if (prompt.task_id, number) in graded
            ),
            atoms=tuple(prompt.atoms),
            num_steps=prompt.num_steps,
            shape=prompt.shape,
            topics=tuple(prompt.topics),
            wording=prompt.wording,
        )
        for prompt in prompts
    )


class _GradingQueue:
    """Submits completions for grading and matches each outcome with its completion."""

    def __init__(self, prompts: Mapping[str, TaskPrompt], on_graded: OnGraded) -> None:
        self._prompts = prompts
        self._on_graded = on_graded
        self._submitted: list[tuple[CompletionKey, GradedCompletion]] = []
        """In the order of the grading's indices."""

    def add(self, grading: Grading, key: CompletionKey, completion: GradedCompletion) -> None:
        """Submit a completion; one thread may call."""
        self._submitted.append((key, completion))  # first, because the outcome may arrive before `add` returns
        grading.add(Submission(task=self._prompts[key[0]].task, completion=completion.completion))

    def report(self, index: int, outcome: Outcome) -> None:
        """Pass an outcome to the callback."""
        key, completion = self._submitted[index]
        self._on_graded(*key, _with_outcome(completion, outcome))

    def collect(self, outcomes: Sequence[Outcome]) -> dict[CompletionKey, GradedCompletion]:
        """Return all graded completions."""
        pairs = zip(self._submitted, outcomes, strict=True)
        return {key: _with_outcome(completion, outcome) for (key, completion), outcome in pairs}


def _ungraded(completion: Completion) -> GradedCompletion:
    return GradedCompletion(
        completion=completion.text,
        num_tokens=len(completion.token_ids),
        finished=completion.finished,
        status=Status.INFRA.value,
        num_passed=0,
        num_tests=0,
    )


def _with_outcome(completion: GradedCompletion, outcome: Outcome) -> GradedCompletion:
    return replace(completion, status=outcome.status.value, num_passed=outcome.num_passed, num_tests=outcome.num_tests)
