"""Run an evaluation: sample, grade, store the completions, and write the report.

`evaluate_prompts` is the pipeline with a progress bar; `atomforge evaluate`, the arms of a study and `cli.api` call it.
`cli.evaluation.inputs` loads model and prompts.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.evaluation.inputs import load_model, load_tasks, make_prompts, render_prompts, resolve_dtype
from cli.evaluation.plan import EvaluationPlan, Suite, check_same_settings, parse_plan
from cli.evaluation.references import measure_suites
from cli.evaluation.report import print_results, read_references, write_results
from cli.evaluation.store import EvaluationStore, Stored
from datamodules.batches import TaskPrompt
from datamodules.encoding.prompt_format import get_format
from executor.api import Executor, open_executor
from executor.commands.errors import Interrupted, UsageError
from executor.commands.progress import CountProgress
from executor.types import Status
from lightning_modules.evaluation.evaluate import CompletionKey, EvalConfig, collect_results, evaluate, regrade
from lightning_modules.evaluation.records import Evaluation, GradedCompletion
from lightning_modules.models.loading import fingerprint, load_policy_tokenizer, resolve
from lightning_modules.models.pretrained import get_origin

if TYPE_CHECKING:
    from cli.evaluation.inputs import Model


def evaluate_prompts(
    model: Model,
    prompts: Sequence[TaskPrompt],
    config: EvalConfig,
    *,
    executor: Executor,
    title: str,
    known: Mapping[CompletionKey, GradedCompletion] | None = None,
    store: EvaluationStore | None = None,
) -> Evaluation:
    """Sample and grade with a progress bar.

    Args:
        model: causal LM and tokenizer.
        prompts: the tasks.
        config: sampling.
        executor: runs the programs.
        title: of the progress bar, and of the suite in the store.
        known: completions from before.
        store: where new completions are appended.
    """
    known = known or {}
    num_known = sum(completion.status != Status.INFRA for completion in known.values())
    total = len(prompts) * (int(config.greedy) + config.num_samples)
    if num_known:
        print(f"{title}: {num_known} of {total} completions are already graded", file=sys.stderr)
    with CountProgress(f"{title}: completions graded", total, num_before=num_known) as progress:

        def graded(task_id: str, number: int, completion: GradedCompletion) -> None:
            if store is not None:
                store.append(title, task_id, number, completion)
            progress.advance(1)

        return evaluate(*model, prompts, config, executor=executor, known=known, on_graded=graded)


def evaluate_plan(plan: EvaluationPlan) -> int:
    """Evaluate all suites, print the scores, and store everything if there is an output.

    Returns:
        Exit code: 1 if completions could not be graded.

    Raises:
        ValueError: no such checkpoint, data set, split or backend, or an output with other settings.
        Interrupted: Ctrl-C; graded completions are stored.
    """
    store = None if plan.output is None else EvaluationStore(Path(plan.output))
    _build_missing_data(plan)
    tasks = [load_tasks(suite) for suite in plan.suites]
    dtype = resolve_dtype(plan.dtype)
    model = load_model(plan.checkpoint, dtype="float32" if plan.references else dtype)  # references run as loaded
    trained = get_format(model[1])
    suites: dict[str, tuple[Suite, list[TaskPrompt]]] = {}
    for suite, table in zip(plan.suites, tasks, strict=True):
        suites |= make_prompts(suite, table, model, trained=trained)
    settings = {
        **plan.to_json(),
        "dtype": dtype,
        "model": resolve(plan.checkpoint),
        "weights": fingerprint(model[0]),
        "prompts": {title: _hash_prompts(prompts) for title, (_, prompts) in suites.items()},
    }
    stored = _start(store, settings)
    results: dict[str, Evaluation] = {}
    try:
        with open_executor(plan.backend) as executor:
            for title, (part, prompts) in suites.items():
                results[title] = evaluate_prompts(
                    model,
                    prompts,
                    plan.eval_config(part, dtype=dtype),
                    executor=executor,
                    title=title,
                    known=_select(stored.get(title, {}), prompts),
                    store=store,
                )
    except KeyboardInterrupt:
        if store is None:
            raise
        raise Interrupted(f"interrupted; run the same command again to continue in {store.directory}") from None
    source = get_origin(model[0]) or plan.checkpoint
    title = plan.checkpoint if source == plan.checkpoint else f"{plan.checkpoint} ({source})"
    references = {}
    if plan.references:
        prompts_by_title = {title: prompts for title, (_, prompts) in suites.items()}
        references = measure_suites(plan, tasks, model, prompts_by_title, trained=trained)
    print_results(results, plan.ks, title=title, references=references)
    if store is not None:
        write_results(store.directory, results, plan.ks, settings=settings, model=source, references=references)
        print(f"written to {store.directory}: samples.jsonl, results.json, report.md, TensorBoard events")
    return _exit_code(results)


def regrade_output(directory: Path, *, backend: str | None) -> int:
    """Grade all stored completions of an evaluation again and print which statuses changed.

    Raises:
        ValueError: the directory holds no evaluation, or its tasks are gone.
    """
    store = EvaluationStore(directory)
    settings = store.settings()
    if settings is None:
        raise UsageError(f"--output {directory}: there is no evaluation")
    known = {field.name for field in dataclasses.fields(EvaluationPlan)}
    mapping = {key: value for key, value in settings.items() if key in known}
    plan = parse_plan(mapping, source=str(directory / "settings.json"))
    tokenizer = load_policy_tokenizer(plan.checkpoint)
    stored, results = store.read(), {}
    changes: list[str] = []
    with open_executor(backend or plan.backend) as executor:
        for suite in plan.suites:
            tasks = load_tasks(suite)
            for title, part in suite.split_wordings().items():
                prompts = render_prompts(part, tasks, tokenizer)
                before = _select(stored.get(title, {}), prompts)
                with CountProgress(f"{title}: completions graded", len(before)) as progress:
                    found = regrade(prompts, before, executor=executor, on_graded=lambda *_: progress.advance(1))
                # a sandbox fault does not replace an earlier outcome
                after = {key: before[key] if new.status == Status.INFRA else new for key, new in found.items()}
                changes += [
                    f"{title} {key[0]} {key[1]}: {before[key].status} is now {new.status}"
                    for key, new in after.items()
                    if new.status != before[key].status
                ]
                stored[title] = stored.get(title, {}) | after
                used = [prompt for prompt in prompts if any(key[0] == prompt.task_id for key in after)]
                graded = collect_results(used, after, num_samples=plan.num_samples)
                results[title] = Evaluation(tasks=graded, settings=settings)
    store.rewrite(stored)
    references, source = read_references(directory), _reported_model(directory) or plan.checkpoint
    write_results(directory, results, plan.ks, settings=settings, model=source, references=references)
    print_results(results, plan.ks, title=f"{plan.checkpoint}, regraded", references=references)
    print(f"{len(changes)} outcomes changed" + (":" if changes else ""), *changes, sep="\n")
    return _exit_code(results)


def _hash_prompts(prompts: Sequence[TaskPrompt]) -> str:
    """Hash the prompts, so that stored completions are not reused for other prompts."""
    text = json.dumps([[prompt.task_id, prompt.prompt_ids] for prompt in prompts])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _start(store: EvaluationStore | None, settings: Mapping[str, Any]) -> Stored:
    """Write the settings, or check them and return the completions stored so far."""
    if store is None:
        return {}
    before = store.settings()
    if before is not None and store.has_samples:
        check_same_settings(before, settings, where=str(store.directory))
    store.begin(settings)
    return store.read()


def _reported_model(directory: Path) -> str | None:
    path = directory / "results.json"
    return json.loads(path.read_text(encoding="utf-8"))["model"] if path.exists() else None


def _build_missing_data(plan: EvaluationPlan) -> None:
    """Build the data sets that do not exist and have a synthesis file."""
    from cli.api import synthesize

    for suite in plan.suites:
        if suite.data is not None and suite.synthesis is not None and not Path(suite.data).exists():
            synthesize(suite.synthesis, suite.data, backend=plan.backend)


def _select(
    stored: Mapping[CompletionKey, GradedCompletion], prompts: Sequence[TaskPrompt]
) -> dict[CompletionKey, GradedCompletion]:
    ids = {prompt.task_id for prompt in prompts}
    return {key: completion for key, completion in stored.items() if key[0] in ids}


def _exit_code(results: Mapping[str, Evaluation]) -> int:
    ungraded = sum(e.statuses()[Status.INFRA] + e.statuses(greedy=True)[Status.INFRA] for e in results.values())
    if ungraded:
        print(f"{ungraded} completions could not be graded and do not count; run the command again", file=sys.stderr)
    return 1 if ungraded else 0
