"""The inputs of an evaluation: the model, the tasks of a suite, and the prompts rendered from them.

Nothing is sampled or graded here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from cli.evaluation.plan import HELD_OUT, Suite
from datamodules.batches import TaskPrompt
from datamodules.encoding.prompt_format import PromptFormat, set_format
from executor.commands.errors import UsageError
from lightning_modules.models.forward.autotune import has_fast_bf16, uses_cuda
from lightning_modules.models.forward.compute import choose_attention_kernels
from lightning_modules.models.loading import load_policy, read_published_dtype

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    Model = tuple[PreTrainedModel, PreTrainedTokenizerFast]


def load_model(checkpoint: str | Path, *, dtype: str = "float32", accelerator: str = "auto") -> Model:
    """Load a model with its tokenizer onto the GPU, or the CPU where there is none.

    Args:
        checkpoint: what `load_policy` takes.
        dtype: of generation. Weights published in bfloat16 are loaded in it, half of the memory, if this is bfloat16:
            nothing is rounded. All others are loaded in float32.
        accelerator: as of the Trainer; `cpu` leaves a GPU unused.

    Raises:
        ValueError: there is no model at `checkpoint`.
    """
    choose_attention_kernels()
    is_exact = dtype == "bfloat16" and read_published_dtype(checkpoint) == torch.bfloat16
    causal_lm, tokenizer = load_policy(checkpoint, dtype=torch.bfloat16 if is_exact else torch.float32)
    torch.nn.Module.to(causal_lm, torch.device("cuda" if uses_cuda(accelerator) else "cpu"))
    return causal_lm, tokenizer


def resolve_dtype(name: str) -> str:
    """Replace `auto` by bfloat16 where this machine computes faster in it, else by float32."""
    if name == "auto":
        return "bfloat16" if has_fast_bf16() else "float32"
    return name


def load_tasks(suite: Suite) -> Any:
    """Read the tasks of a suite.

    Raises:
        ValueError: there is no such data set, split or benchmark.
    """
    if suite.benchmark is not None:
        from datamodules.sources.benchmarks import load_benchmark

        return load_benchmark(
            suite.benchmark, columns=suite.columns or None, split=suite.split, tasks_format=suite.tasks_format
        )
    from datamodules.eval_data import get_split, load_dataset

    assert suite.data is not None
    assert suite.split is not None
    return get_split(load_dataset(suite.data), suite.split, data_dir=suite.data)


def make_prompts(
    suite: Suite, tasks: Any, model: Model, *, trained: PromptFormat
) -> dict[str, tuple[Suite, list[TaskPrompt]]]:
    """Render the prompts of a suite in its format, by wording; tasks that exceed the context are left out with a note.

    Args:
        suite: how the model is prompted.
        tasks: from `load_tasks`.
        model: causal LM and tokenizer; the tokenizer keeps the suite's format.
        trained: the prompt format of the training, for the keys that the suite does not set.

    Raises:
        ValueError: no task fits the context, or the data set has no held-out wording.
    """
    causal_lm, tokenizer = model
    set_format(tokenizer, suite.prompt_format(trained))
    parts = suite.split_wordings()
    return {
        title: (
            part,
            drop_too_long(
                render_prompts(part, tasks, tokenizer), causal_lm, max_new_tokens=part.max_new_tokens, title=title
            ),
        )
        for title, part in parts.items()
    }


def render_prompts(part: Suite, tasks: Any, tokenizer: PreTrainedTokenizerFast) -> list[TaskPrompt]:
    """Render the prompts of a suite in the format that the tokenizer keeps."""
    if part.benchmark is not None:
        from datamodules.sources.benchmarks import benchmark_prompts

        return benchmark_prompts(tasks, tokenizer, part.num_tasks)
    from datamodules.eval_data import build_task_prompts

    wording: Literal["in_distribution", "held_out"] = "held_out" if part.wording == HELD_OUT else "in_distribution"
    return build_task_prompts(tasks, tokenizer, part.num_tasks, wording=wording)


def drop_too_long(
    prompts: list[TaskPrompt], causal_lm: PreTrainedModel, *, max_new_tokens: int, title: str
) -> list[TaskPrompt]:
    """Leave out prompts that exceed the model's context together with a completion, with a note.

    Raises:
        UsageError: no prompt fits.
    """
    context = getattr(causal_lm.config, "max_position_embeddings", None) or sys.maxsize
    fitting = [prompt for prompt in prompts if len(prompt.prompt_ids) + max_new_tokens <= context]
    if len(fitting) < len(prompts):
        print(
            f"{title}: {len(prompts) - len(fitting)} of {len(prompts)} tasks are left out: prompt and max_new_tokens "
            f"{max_new_tokens} exceed the model's context of {context} tokens",
            file=sys.stderr,
        )
    if not fitting:
        raise UsageError(f"{title}: no task fits the model's context of {context} tokens; lower max_new_tokens")
    return fitting
