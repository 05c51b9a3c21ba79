"""Log-probabilities of the reference solutions of suites, by line.

`lightning_modules.evaluation.reference_logprobs` computes them; this module supplies programs and prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from datamodules.batches import TaskPrompt
from datamodules.encoding.prompt_format import PromptFormat, encode_completions, get_format, set_format
from lightning_modules.evaluation.reference_logprobs import (
    END,
    LineSummary,
    Reference,
    compute_logprobs,
    label_lines,
    split_tokens,
    sum_by_line,
    summarize_lines,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from cli.evaluation.plan import EvaluationPlan

ENTRY_POINT = "solve"


def measure_suites(
    plan: EvaluationPlan,
    tables: Sequence[Any],
    model: tuple[PreTrainedModel, PreTrainedTokenizerFast],
    prompts: Mapping[str, Sequence[TaskPrompt]],
    *,
    trained: PromptFormat,
) -> dict[str, list[LineSummary]]:
    """Measure the references of all suites of a plan, by title.

    Args:
        plan: the suites.
        tables: their splits.
        model: causal LM and tokenizer, whose prompt format is set to that of each suite.
        prompts: by title, from `make_prompts`.
        trained: the prompt format of the training.

    Raises:
        ValueError: a solution is not Python.
    """
    found = {}
    for suite, table in zip(plan.suites, tables, strict=True):
        set_format(model[1], suite.prompt_format(trained))
        found |= {title: measure_references(model, table, prompts[title]) for title in suite.split_wordings()}
    return found


def measure_references(
    model: tuple[PreTrainedModel, PreTrainedTokenizerFast], table: Any, prompts: Sequence[TaskPrompt]
) -> list[LineSummary]:
    """Measure how the model rates the reference solutions of some tasks.

    Args:
        model: causal LM and tokenizer, with the prompt format of the suite.
        table: of the split, with `task_id` and `solution`.
        prompts: the tasks.

    Raises:
        ValueError: a solution is not Python.
    """
    causal_lm, tokenizer = model
    solutions: Mapping[str, str] = dict(zip(table["task_id"], table["solution"], strict=True))
    programs = [solutions[prompt.task_id].rstrip() + "\n" for prompt in prompts]
    completions = encode_completions(tokenizer, programs)
    pairs = [(prompt.prompt_ids, completion) for prompt, completion in zip(prompts, completions, strict=True)]
    is_fenced = get_format(tokenizer).completion_format == "fenced"
    references = []
    for prompt, program, completion, logprobs in zip(
        prompts, programs, completions, compute_logprobs(causal_lm, pairs), strict=True
    ):
        labels = label_lines(program, ENTRY_POINT)
        if is_fenced:  # the opening fence belongs to the first line, the closing one to the end
            labels = [labels[0], *labels[:-1], END]
        lines = sum_by_line(logprobs, split_tokens(tokenizer, completion), labels)
        references.append(Reference(task_id=prompt.task_id, depth=prompt.depth, lines=lines))
    return summarize_lines(references)
