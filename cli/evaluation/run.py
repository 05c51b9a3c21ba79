"""Carry out a plan of evaluation: load the model, ask it each suite, judge, keep, report."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from cli.evaluation.plan import EvaluationPlan, Suite, plan_of, refuse_other_settings
from cli.evaluation.report import print_results, write_results
from cli.evaluation.store import EvaluationStore, Kept
from datamodules.batches import TaskPrompt
from datamodules.prompt_format import get_format, set_format
from executor.api import Executor, open_executor
from executor.commands.errors import Interrupted, UsageError
from executor.commands.progress import CountProgress
from executor.types import Status
from lightning_modules.evaluation.evaluate import Name, collect, evaluate, judge_again
from lightning_modules.evaluation.records import Evaluation, JudgedSample
from lightning_modules.models.autotune import has_fast_bf16
from lightning_modules.models.loading import fingerprint, load_policy, load_policy_tokenizer, resolve
from lightning_modules.models.pretrained import get_origin

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def evaluate_plan(plan: EvaluationPlan) -> int:
    """Evaluate, print, and keep everything where there is an output; returns 1 where samples have no verdict.

    Raises:
        ValueError: no such checkpoint, data set, split or backend, or an output of other settings; one line.
        Interrupted: Ctrl-C; what was judged is kept.
    """
    store = None if plan.output is None else EvaluationStore(Path(plan.output))
    _build_missing_data(plan)
    sources = [_TaskSource(suite) for suite in plan.suites]
    causal_lm, tokenizer = load_policy(plan.checkpoint)
    torch.nn.Module.to(causal_lm, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    suites = _prompts(plan, sources, causal_lm, tokenizer)
    settings = {
        **plan.to_json(),
        "dtype": _dtype(plan.dtype),
        "model": resolve(plan.checkpoint),
        "weights": fingerprint(causal_lm),
        "prompts": {title: _fingerprint(prompts) for title, (_, prompts) in suites.items()},
    }
    kept = _begin(store, settings)
    results: dict[str, Evaluation] = {}
    try:
        with open_executor(plan.backend) as executor:
            for title, (part, prompts) in suites.items():
                results[title] = _ask(plan, part, title, prompts, (causal_lm, tokenizer), executor, store, kept)
    except KeyboardInterrupt:
        if store is None:
            raise
        raise Interrupted(f"interrupted; run the same command again to go on in {store.directory}") from None
    model = get_origin(causal_lm) or plan.checkpoint
    title = plan.checkpoint if model == plan.checkpoint else f"{plan.checkpoint} ({model})"
    print_results(results, plan.ks, title=title)
    if store is not None:
        write_results(store.directory, results, plan.ks, settings=settings, model=model)
        print(f"kept in {store.directory}: samples.jsonl, results.json, report.md, TensorBoard events")
    return _exit_code(results)


def regrade(directory: Path, *, backend: str | None) -> int:
    """Run all kept completions of an evaluation again and say how many verdicts changed.

    Raises:
        ValueError: the directory holds no evaluation, or its tasks are gone; one line.
    """
    store = EvaluationStore(directory)
    settings = store.settings()
    if settings is None:
        raise UsageError(f"--output {directory}: there is no evaluation")
    known = {field.name for field in dataclasses.fields(EvaluationPlan)}
    plan = plan_of(
        {key: value for key, value in settings.items() if key in known}, source=str(directory / "settings.json")
    )
    tokenizer = load_policy_tokenizer(plan.checkpoint)
    kept, results = store.read(), {}
    changes: list[str] = []
    with open_executor(backend or plan.backend) as executor:
        for suite in plan.suites:
            source = _TaskSource(suite)
            for title, part in suite.parts():
                prompts = source.prompts(part, tokenizer)
                before = _of_tasks(kept.get(title, {}), prompts)
                with CountProgress(f"{title}: completions judged", len(before)) as progress:
                    found = judge_again(prompts, before, executor, on_judged=lambda *_: progress.advance(1))
                # a fault of the sandbox is no reason to give up a verdict there was
                after = {n: before[n] if sample.status == Status.INFRA else sample for n, sample in found.items()}
                changes += [
                    f"{title} {name[0]} {name[1]}: {before[name].status} is now {sample.status}"
                    for name, sample in after.items()
                    if sample.status != before[name].status
                ]
                kept[title] = kept.get(title, {}) | after
                asked = [prompt for prompt in prompts if any(name[0] == prompt.task_id for name in after)]
                results[title] = Evaluation(
                    tasks=collect(asked, after, num_samples=plan.num_samples), settings=settings
                )
    store.rewrite(kept)
    write_results(directory, results, plan.ks, settings=settings, model=_model_reported(directory) or plan.checkpoint)
    print_results(results, plan.ks, title=f"{plan.checkpoint}, judged again")
    print(f"{len(changes)} verdicts changed" + (":" if changes else ""), *changes, sep="\n")
    return _exit_code(results)


class _TaskSource:
    """Reads the tasks of a suite once, before any model is loaded."""

    def __init__(self, suite: Suite) -> None:
        if suite.benchmark is not None:
            from datamodules.benchmarks.humaneval_mbpp import load_benchmark

            self._tasks: Any = load_benchmark(
                suite.benchmark, columns=suite.columns or None, split=suite.split, tasks_format=suite.tasks_format
            )
        else:
            from datamodules.eval_data import get_split, load_dataset

            assert suite.data is not None
            assert suite.split is not None
            self._tasks = get_split(load_dataset(suite.data), suite.split, data_dir=suite.data)

    def prompts(self, part: Suite, tokenizer: PreTrainedTokenizerFast) -> list[TaskPrompt]:
        """Make the prompts of one wording, in the tokenizer's format."""
        if part.benchmark is not None:
            from datamodules.benchmarks.humaneval_mbpp import benchmark_prompts

            return benchmark_prompts(self._tasks, tokenizer, part.num_tasks)
        from datamodules.eval_data import build_task_prompts

        wording: Literal["seen", "unseen"] = "unseen" if part.wording == "unseen" else "seen"
        return build_task_prompts(self._tasks, tokenizer, part.num_tasks, wording=wording)


def _ask(
    plan: EvaluationPlan,
    part: Suite,
    title: str,
    prompts: Sequence[TaskPrompt],
    policy: tuple[PreTrainedModel, PreTrainedTokenizerFast],
    executor: Executor,
    store: EvaluationStore | None,
    kept: Kept,
) -> Evaluation:
    known = _of_tasks(kept.get(title, {}), prompts)
    num_known = sum(sample.status != Status.INFRA for sample in known.values())
    num_asked = len(prompts) * (1 + plan.num_samples)
    if num_known:
        print(f"{title}: {num_known} of {num_asked} completions are kept from before", file=sys.stderr)
    with CountProgress(f"{title}: completions judged", num_asked, num_before=num_known) as progress:

        def judged(task_id: str, number: int, sample: JudgedSample) -> None:
            if store is not None:
                store.append(title, task_id, number, sample)
            progress.advance(1)

        return evaluate(
            *policy,
            prompts,
            executor,
            num_samples=plan.num_samples,
            temperature=plan.temperature,
            max_new_tokens=part.max_new_tokens,
            seed=plan.seed,
            batch_size=plan.batch_size,
            stop=part.stop,
            dtype=getattr(torch, _dtype(plan.dtype)),
            kept=known,
            on_judged=judged,
        )


def _prompts(
    plan: EvaluationPlan, sources: Sequence[_TaskSource], causal_lm: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> dict[str, tuple[Suite, list[TaskPrompt]]]:
    """Make the prompts of all parts of all suites, by title; each suite in its format."""
    trained = get_format(tokenizer)
    found: dict[str, tuple[Suite, list[TaskPrompt]]] = {}
    for suite, source in zip(plan.suites, sources, strict=True):
        set_format(tokenizer, suite.prompt_format(trained))
        for title, part in suite.parts():
            found[title] = part, _fitting(source.prompts(part, tokenizer), part, causal_lm, title)
    return found


def _fingerprint(prompts: Sequence[TaskPrompt]) -> str:
    """Hash what a model is asked, so that kept completions are not taken for answers to something else."""
    asked = json.dumps([[prompt.task_id, prompt.prompt_ids] for prompt in prompts])
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


def _begin(store: EvaluationStore | None, settings: Mapping[str, Any]) -> Kept:
    """Note what is asked, or find out how far it came."""
    if store is None:
        return {}
    before = store.settings()
    if before is not None and store.has_samples:
        refuse_other_settings(before, settings, where=str(store.directory))
    store.begin(settings)
    return store.read()


def _model_reported(directory: Path) -> str | None:
    """Read what the report calls the model; None where there is none yet."""
    path = directory / "results.json"
    return json.loads(path.read_text(encoding="utf-8"))["model"] if path.exists() else None


def _build_missing_data(plan: EvaluationPlan) -> None:
    """Build the data sets that do not exist yet and have a recipe."""
    from cli.main import dispatch

    for suite in plan.suites:
        if suite.data is not None and suite.synthesis is not None and not Path(suite.data).exists():
            dispatch(["synthesize", "--config", suite.synthesis, "--output", suite.data, "--backend", plan.backend])


def _fitting(prompts: list[TaskPrompt], part: Suite, causal_lm: PreTrainedModel, title: str) -> list[TaskPrompt]:
    """Leave out, with a line, the tasks that the model's context cannot hold with a completion."""
    context = getattr(causal_lm.config, "max_position_embeddings", None) or sys.maxsize
    fitting = [prompt for prompt in prompts if len(prompt.prompt_ids) + part.max_new_tokens <= context]
    if len(fitting) < len(prompts):
        print(
            f"{title}: {len(prompts) - len(fitting)} of {len(prompts)} tasks are left out: prompt and max_new_tokens "
            f"{part.max_new_tokens} exceed the model's context of {context} tokens",
            file=sys.stderr,
        )
    if not fitting:
        raise UsageError(f"{title}: no task fits the model's context of {context} tokens; lower max_new_tokens")
    return fitting


def _of_tasks(kept: Mapping[Name, JudgedSample], prompts: Sequence[TaskPrompt]) -> dict[Name, JudgedSample]:
    known = {prompt.task_id for prompt in prompts}
    return {name: sample for name, sample in kept.items() if name[0] in known}


def _dtype(name: str) -> str:
    if name == "auto":
        return "bfloat16" if has_fast_bf16() else "float32"
    return name


def _exit_code(results: Mapping[str, Evaluation]) -> int:
    unjudged = sum(e.statuses()[Status.INFRA] + e.statuses(greedy=True)[Status.INFRA] for e in results.values())
    if unjudged:
        print(f"{unjudged} completions could not be judged and do not count; run it again", file=sys.stderr)
    return 1 if unjudged else 0
