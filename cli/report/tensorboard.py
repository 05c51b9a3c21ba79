"""All arms of a study for TensorBoard: settings and scores (tab HPARAMS), and the curves of their trainings.

The folder of an earlier report is replaced; any other is an error.
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
"""Settings that are shown, where an arm has them."""
_WRITTEN = re.compile(r"[^/]+/seed\d+/events\.out\.tfevents\.[^/]+")


def check_replaceable(folder: Path) -> None:
    """Check that a folder contains only files of `write_arms`, because it will be replaced.

    Raises:
        UsageError: naming the first such file.
    """
    for path in sorted(folder.rglob("*")):
        if not path.is_dir() and not _WRITTEN.fullmatch(path.relative_to(folder).as_posix()):
            raise UsageError(
                f"{path} was not written by a report, which replaces {folder}: move it, or use another --output"
            )


def write_arms(folder: Path, results: Sequence[ArmResult]) -> None:
    """Write one run for each arm, `folder/STAGE/seedN`, with settings, scores and the curves of its training.

    Raises:
        UsageError: the folder contains other files.
    """
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.summary import hparams

    from lightning_modules.training.logging.curve_layout import RL_SECTIONS, SFT_SECTIONS, layout

    check_replaceable(folder)
    shutil.rmtree(folder, ignore_errors=True)
    for result in results:
        scores = _mean_scores(result)
        with SummaryWriter(str(folder / result.stage / f"seed{result.seed}")) as writer:
            writer.add_custom_scalars(layout(RL_SECTIONS if result.kind == "rl" else SFT_SECTIONS))
            for summary in hparams(_select_settings(result), scores):
                writer._get_file_writer().add_summary(summary)
            for tag, value in scores.items():
                writer.add_scalar(tag, value, 0)
            for tag, step, value in _points(result):
                writer.add_scalar(tag, value, step)


def _select_settings(result: ArmResult) -> dict[str, bool | int | float | str]:
    """Return the settings that distinguish arms."""
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


def _mean_scores(result: ArmResult) -> dict[str, float]:
    """Return greedy and sampled pass@1 of each split, by tag."""
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
