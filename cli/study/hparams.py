"""All arms of a study for TensorBoard: settings beside scores (tab HPARAMS), and the curves of their trainings.

Made from results alone, as the report is; a folder that was made before is replaced, any other is refused.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from cli.study.results import ArmResult
from executor.commands.errors import UsageError

FOLDER = "tensorboard"
_KEYS = {
    "lr": ("model", "init_args", "optimizer", "lr"),
    "batch_size": ("data", "init_args", "batch_size"),
    "epochs": ("trainer", "max_epochs"),
    "kl_target": ("model", "init_args", "kl", "target"),
    "samples_per_prompt": ("data", "init_args", "samples_per_prompt"),
}
"""Shown where an arm has them."""
_OURS = re.compile(r"[^/]+/seed\d+/events\.out\.tfevents\.[^/]+")


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that holds anything but what `write_hparams` writes, which would be lost.

    Raises:
        UsageError: naming the first such file.
    """
    for path in sorted(folder.rglob("*")):
        if not path.is_dir() and not _OURS.fullmatch(path.relative_to(folder).as_posix()):
            raise UsageError(f"{path} is not of a report, which would replace {folder}: move it, or give --output")


def write_hparams(folder: Path, results: Sequence[ArmResult]) -> None:
    """Write a run for each arm, `folder/STAGE/seedN`: settings, scores and the curves of its training.

    Raises:
        UsageError: the folder holds something else.
    """
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    refuse_foreign(folder)
    shutil.rmtree(folder, ignore_errors=True)
    for result in results:
        scores = scores_of(result)
        with SummaryWriter(str(folder / result.stage / f"seed{result.seed}")) as writer:
            for summary in hparams(settings_of(result), scores):
                writer._get_file_writer().add_summary(summary)
            for tag, value in scores.items():
                writer.add_scalar(tag, value, 0)
            for tag, step, value in _points(result):
                writer.add_scalar(tag, value, step)


def settings_of(result: ArmResult) -> dict[str, bool | int | float | str]:
    """Choose what tells arms apart."""
    found: dict[str, Any] = {"stage": result.stage, "seed": result.seed, "kind": result.kind}
    found["parent"] = result.parent or "none"
    for name, path in _KEYS.items():
        value: Any = result.config
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, bool | int | float | str):
            found[name] = value
    found["tokens"] = result.budget.total_tokens
    found["synthetic_completion_tokens"] = result.budget.synthetic_completion_tokens
    return found


def scores_of(result: ArmResult) -> dict[str, float]:
    """Name greedy and sampled pass@1 of each split."""
    found = {}
    for split, evaluation in result.evaluation.items():
        for name, scores in (("greedy", evaluation.greedy_scores()), ("pass_at_1", evaluation.scores(1))):
            if scores:
                found[f"study/{split}/{name}"] = fmean(scores.values())
    return found


def _points(result: ArmResult) -> Iterator[tuple[str, int, float]]:
    for tag, points in result.curves.items():
        for step, value in points:
            yield tag, int(step), value
