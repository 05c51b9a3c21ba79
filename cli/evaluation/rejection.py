"""Rejection sampling: complete the tasks of a split many times, grade the completions, and keep passing ones for SFT.

The output directory holds `samples.jsonl`, all completions with their outcomes, `kept.jsonl`, the rows that
`data.completions` of the SFT data module reads, and `result.json`. The same call continues an interrupted one. Training
is not part of it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.commands.errors import Interrupted
from executor.commands.io import open_atomic, write_json

if TYPE_CHECKING:
    from datamodules.batches import TaskPrompt
    from datamodules.sources.task_files import DataSource
    from lightning_modules.evaluation.records import TaskResult

KEPT, RESULT = "kept.jsonl", "result.json"


@dataclass(frozen=True, kw_only=True)
class RejectionConfig:
    """Which tasks are completed, how often, and how many completions are kept."""

    split: str = "synthetic_rl"
    num_tasks: int | None = None
    """Evenly spaced over the split; null = all."""
    num_samples: int = 16
    """Completions per task."""
    max_kept: int = 1
    """Passing completions kept per task, all different, in the order of sampling."""
    num_sampled_reward_tests: int = 16
    """As in RL: inputs sampled for each task, which completions must pass; 0 = the stored reward tests."""
    temperature: float = 1.0
    max_new_tokens: int = 256
    batch_size: int = 128
    """Completions generated at a time."""
    dtype: str = "auto"
    """Of the weights during generation: float32, bfloat16, or auto, which is bfloat16 where that is faster."""

    def __post_init__(self) -> None:
        for name in ("num_samples", "max_kept", "max_new_tokens", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.num_tasks is not None and self.num_tasks < 1:
            raise ValueError(f"num_tasks is {self.num_tasks}: it must be at least 1, or null for all")
        if self.num_sampled_reward_tests < 0:
            raise ValueError(f"num_sampled_reward_tests is {self.num_sampled_reward_tests}: it must be at least 0")
        if not 0.0 < self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}: it must be above 0")
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise ValueError(f"dtype is {self.dtype!r}: it must be auto, float32 or bfloat16")


@dataclass(frozen=True, kw_only=True)
class RejectionResult:
    """Results and cost of rejection sampling."""

    num_tasks: int
    num_completions: int
    num_passed: int
    """Completions."""
    num_solved: int
    """Tasks with at least one passing completion."""
    num_kept: int
    total_tokens: int
    """Of the completions, and of each prompt once."""
    completion_tokens: int
    flops: float
    """2 N per token, with N weights that are multiplied with."""

    def __str__(self) -> str:
        return (
            f"{self.num_completions} completions of {self.num_tasks} tasks: {self.num_passed} passed, "
            f"{self.num_solved} tasks solved, {self.num_kept} completions kept"
        )


def sample_passing(
    checkpoint: str | Path,
    data_dir: str,
    config: RejectionConfig,
    output: Path,
    *,
    seed: int,
    backend: str = "auto",
    accelerator: str = "auto",
) -> RejectionResult:
    """Sample, grade, and write the kept completions; an output that is complete is returned as it is.

    Args:
        checkpoint: the model, as `atomforge evaluate --checkpoint` takes it.
        data_dir: the data set.
        config: tasks and sampling.
        output: directory of the results.
        seed: of the samples and of the sampled reward tests.
        backend: where programs run.
        accelerator: as of the Trainer; `cpu` leaves a GPU unused.

    Raises:
        ValueError: no such checkpoint, data set, split or backend, or an output with other settings.
        Interrupted: Ctrl-C; graded completions are stored.
    """
    from cli.evaluation.inputs import drop_too_long, load_model, resolve_dtype
    from cli.evaluation.plan import check_same_settings
    from cli.evaluation.run import evaluate_prompts
    from cli.evaluation.store import EvaluationStore
    from datamodules.eval_data import get_split
    from datamodules.sources.task_files import DEFAULT_SPLIT, DataSource
    from executor.api import open_executor
    from lightning_modules.evaluation.evaluate import EvalConfig
    from lightning_modules.models.loading import resolve
    from lightning_modules.training.flops import count_multiplied_weights

    settings = {**dataclasses.asdict(config), "model": resolve(checkpoint), "data": str(data_dir), "seed": seed}
    store = EvaluationStore(output)
    before = store.settings()
    if before is not None:
        check_same_settings(before, settings, where=str(output))
        if (output / RESULT).exists():
            return RejectionResult(**json.loads((output / RESULT).read_text(encoding="utf-8")))
    source = DataSource(data_dir=data_dir, tasks=None, split=DEFAULT_SPLIT, decontaminate=())
    dataset = source.load()
    get_split(dataset, config.split, data_dir=data_dir)  # fails before the model is loaded
    dtype = resolve_dtype(config.dtype)
    model = load_model(checkpoint, dtype=dtype, accelerator=accelerator)
    prompts = build_reward_prompts(source, dataset, config, model[1], seed=seed)
    prompts = drop_too_long(prompts, model[0], max_new_tokens=config.max_new_tokens, title=config.split)
    store.begin(settings)
    eval_config = EvalConfig(
        num_samples=config.num_samples,
        temperature=config.temperature,
        max_new_tokens=config.max_new_tokens,
        seed=seed,
        batch_size=config.batch_size,
        greedy=False,
        dtype=dtype,
    )
    known = store.read().get(config.split, {})
    try:
        with open_executor(backend) as executor:
            evaluation = evaluate_prompts(
                model, prompts, eval_config, executor=executor, title=config.split, known=known, store=store
            )
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; run the same command again to continue in {output}") from None
    kept = select_passing(evaluation.tasks, max_kept=config.max_kept, to_program=_program_reader(model[1]))
    with open_atomic(output / KEPT) as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
    num_weights = count_multiplied_weights(model[0])
    result = _summarize(evaluation.tasks, prompts, num_kept=len(kept), num_weights=num_weights)
    write_json(output / RESULT, dataclasses.asdict(result))
    return result


def build_reward_prompts(
    source: DataSource, dataset: Any, config: RejectionConfig, tokenizer: Any, *, seed: int
) -> list[TaskPrompt]:
    """Build the tasks with the tests that rewards of RL are computed on, so that evaluation tests stay unseen."""
    from datamodules.eval_data import evenly_spaced_indices
    from datamodules.rl.reward_tests import choose_reward_tests
    from datamodules.rl.stored import load_reward_tasks

    tasks = load_reward_tasks(source, dataset, config.split, tokenizer, max_prompt_length=None)
    chosen = [tasks[index] for index in evenly_spaced_indices(len(tasks), config.num_tasks)]
    num_sampled = config.num_sampled_reward_tests
    return [choose_reward_tests(task, num_sampled=num_sampled, seed=seed, iteration=0) for task in chosen]


def select_passing(
    tasks: Sequence[TaskResult], *, max_kept: int, to_program: Callable[[str], str] = lambda text: text
) -> list[dict[str, Any]]:
    """Keep the first `max_kept` different programs of each task that passed and ended by themselves.

    Args:
        tasks: graded completions.
        max_kept: per task.
        to_program: turns a completion into a program, which is the target of SFT.

    Returns:
        Rows with `task_id`, `prompt`, `language`, `depth`, `atoms` and `solution`.
    """
    rows = []
    for task in tasks:
        programs = [to_program(sample.completion) for sample in task.samples if sample.passed and sample.finished]
        for program in list(dict.fromkeys(programs))[:max_kept]:
            row = {"task_id": task.task_id, "prompt": task.prompt, "language": task.language, "depth": task.depth}
            rows.append({**row, "atoms": list(task.atoms), "solution": program})
    return rows


def _summarize(
    tasks: Sequence[TaskResult], prompts: Sequence[TaskPrompt], *, num_kept: int, num_weights: int
) -> RejectionResult:
    """Count completions, tokens and FLOPs of a model with `num_weights` weights that are multiplied with."""
    samples = [sample for task in tasks for sample in task.samples]
    completion_tokens = sum(sample.num_tokens for sample in samples)
    total_tokens = completion_tokens + sum(len(prompt.prompt_ids) for prompt in prompts)
    return RejectionResult(
        num_tasks=len(prompts),
        num_completions=len(samples),
        num_passed=sum(sample.passed for sample in samples),
        num_solved=sum(task.num_correct > 0 for task in tasks),
        num_kept=num_kept,
        total_tokens=total_tokens,
        completion_tokens=completion_tokens,
        flops=2.0 * num_weights * total_tokens,
    )


def _program_reader(tokenizer: Any) -> Callable[[str], str]:
    """Return what turns completions into programs: nothing to do for raw ones, else the code of the fence."""
    from datamodules.encoding.prompt_format import get_format
    from executor.grading.extract import extract_program

    if get_format(tokenizer).completion_format == "raw":
        return lambda text: text
    return lambda text: extract_program(text, "solve").source
