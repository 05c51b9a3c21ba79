"""Callbacks that show a run in TensorBoard beyond its scalars: sample texts with outcomes.

Checkpoints, the logger and the record of hyperparameters belong to the command line.
"""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

import textwrap
from typing import Protocol, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from lightning_modules.evaluation.records import Evaluation, GradedCompletion, TaskResult

_WIDTH = 100
"""Characters in a line of a prompt: the tab does not break lines."""


@runtime_checkable
class EvaluatesTasks(Protocol):
    """A module that keeps its newest evaluation of each split."""

    last_evaluations: dict[str, Evaluation]


class SampleTexts(Callback):
    """Write a few tasks with their completions and outcomes as TensorBoard text after each validation.

    Args:
        num_tasks: tasks shown of each split, evenly spread and always the same ones.
    """

    def __init__(self, num_tasks: int = 4) -> None:
        if num_tasks < 1:
            raise ValueError(f"num_tasks is {num_tasks}: at least 1 is needed (leave the callback out for none)")
        self.num_tasks = num_tasks

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a module without evaluations.

        Raises:
            ValueError: `pl_module` keeps none.
        """
        if not isinstance(pl_module, EvaluatesTasks):
            raise ValueError(f"SampleTexts: {type(pl_module).__name__} keeps no evaluations; leave the callback out")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or not isinstance(pl_module, EvaluatesTasks) or not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                for split, evaluation in pl_module.last_evaluations.items():
                    text = sample_text(evaluation, self.num_tasks)
                    logger.experiment.add_text(f"samples/{split}", text, max(0, trainer.global_step - 1))


def sample_text(evaluation: Evaluation, num_tasks: int) -> str:
    """Render a few tasks of an evaluation as Markdown."""
    tasks = evaluation.tasks
    num_tasks = min(num_tasks, len(tasks))
    chosen = [tasks[i * len(tasks) // num_tasks] for i in range(num_tasks)]
    return "\n\n---\n\n".join(_task_text(task) for task in chosen)


def _task_text(task: TaskResult) -> str:
    prompt = "\n".join(textwrap.fill(line, _WIDTH) for line in task.prompt.splitlines())
    sections = [f"**{task.task_id}** (depth {task.depth}, {task.language})\n\n{_block(prompt)}"]
    sections += [f"{_verdict(sample)}\n\n{_block(sample.completion)}" for sample in task.completions()[:2]]
    return "\n\n".join(sections)


def _verdict(sample: GradedCompletion) -> str:
    end = "" if sample.finished else ", cut off"
    return f"*{sample.status}*, {sample.num_passed} of {sample.num_tests} tests, {sample.num_tokens} tokens{end}"


def _block(text: str) -> str:
    """Indent by four blanks: a code block that no completion can close."""
    return "\n".join(f"    {line}" for line in text.splitlines()) or "    "
