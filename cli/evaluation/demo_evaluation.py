"""The evaluation stage of the demo: three models on the splits of the plan, each result a JSON file of its own."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cli.commands.demo import MODELS, DemoConfig
from executor.commands.io import write_json
from executor.commands.progress import CountProgress

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from executor.api import Executor
    from lightning_modules.evaluation.records import Evaluation


def evaluation_path(config: DemoConfig, model: str, split: str) -> Path:
    """Where the result of one model on one split is kept."""
    return Path(config.output) / "evaluation" / f"{model}_{split}.json"


def read_evaluation(config: DemoConfig, model: str, split: str) -> Evaluation:
    """Read a finished result."""
    from lightning_modules.evaluation.records import Evaluation

    return Evaluation.from_json(json.loads(evaluation_path(config, model, split).read_text(encoding="utf-8")))


def evaluate_models(config: DemoConfig) -> None:
    """Evaluate every model on every split that has no result yet."""
    splits = config.evaluation.num_tasks
    todo = [(m, s) for m in MODELS for s in splits if not evaluation_path(config, m, s).exists()]
    if not todo:
        return
    from datamodules.eval_data import get_split, load_dataset
    from executor.api import open_executor

    dataset = load_dataset(config.data_dir)
    tables = {split: get_split(dataset, split, data_dir=config.data_dir) for split in splits}
    (Path(config.output) / "evaluation").mkdir(exist_ok=True)
    with open_executor(config.backend) as executor:
        for model in dict.fromkeys(name for name, _ in todo):
            policy = load_model(config, model)
            for split in [s for m, s in todo if m == model]:
                result = _evaluate(config, model, split, tables[split], policy, executor)
                write_json(evaluation_path(config, model, split), result.to_json())


def load_model(config: DemoConfig, model: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Load a trained model, or build the one that SFT began with."""
    from lightning_modules.models.loading import load_policy
    from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm

    if model != "untrained":
        return load_policy(Path(config.output) / model)
    _, tokenizer = load_policy(Path(config.output) / "sft")
    saved = yaml.safe_load((Path(config.output) / "sft" / "config.yaml").read_text(encoding="utf-8"))
    arguments: dict[str, Any] = saved["model"]["init_args"]
    return build_causal_lm(
        TinyLlamaConfig(**(arguments["architecture"] or {})), tokenizer, arguments["seed"]
    ), tokenizer


def _evaluate(
    config: DemoConfig,
    model: str,
    split: str,
    table: Any,
    policy: tuple[PreTrainedModel, PreTrainedTokenizerFast],
    executor: Executor,
) -> Evaluation:
    import torch

    from datamodules.eval_data import build_task_prompts
    from lightning_modules.evaluation.evaluate import evaluate
    from lightning_modules.models.autotune import has_fast_bf16

    plan, label = config.evaluation, f"{model} on {split}"
    causal_lm, tokenizer = policy
    prompts = build_task_prompts(table, tokenizer, config.num_tasks(model, split))
    torch.nn.Module.to(causal_lm, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = {"auto": "bfloat16" if has_fast_bf16() else "float32"}.get(plan.dtype, plan.dtype)
    started = time.monotonic()
    with CountProgress(f"{label}: completions judged", len(prompts) * (1 + plan.num_samples)) as progress:
        result = evaluate(
            causal_lm,
            tokenizer,
            prompts,
            executor,
            num_samples=plan.num_samples,
            temperature=plan.temperature,
            max_new_tokens=plan.max_new_tokens,
            seed=config.seed,
            batch_size=plan.batch_size,
            dtype=getattr(torch, dtype),
            on_judged=lambda *_: progress.advance(1),
        )
    print(f"{label}: {len(prompts)} tasks in {time.monotonic() - started:.0f} s", flush=True)
    return result
