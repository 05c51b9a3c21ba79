"""`atomforge demo`: the whole pipeline at small size: data, SFT, RL, evaluation, and one table.

The demo is a study whose arms run one after the other with their output on the terminal. A finished stage is skipped,
and an interrupted one continues. Sizes and learning rates are in the YAML files.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from executor.api import BACKENDS
from executor.commands.errors import UsageError
from executor.commands.io import write_json

if TYPE_CHECKING:
    from rich.console import Console

    from cli.study.plan import StudyConfig
    from cli.study.results import ArmResult
    from lightning_modules.evaluation.statistics import Interval

_FILE_COLUMNS = 120
"""Width of the tables where the output is not a terminal."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of `demo`."""
    parser = subparsers.add_parser(
        "demo",
        help="the whole pipeline at small size: data, SFT, RL, evaluation",
        description="Build data, train by SFT and RL, grade all models on held-out tasks, print one table.",
    )
    parser.add_argument("--config", required=True, help="YAML file of a study, e.g. configs/demo.yaml")
    parser.add_argument("--output", default=None, help="directory of all results (`output` of the file)")
    parser.add_argument("--seed", type=int, default=None, help="seed of training and sampling (`seeds` of the file)")
    parser.add_argument("--data", default=None, help="use this data set instead of building one")
    parser.add_argument(
        "--backend", default=None, help=f"where programs run: {', '.join(BACKENDS)} (`backend` of the file)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the stages that are not done, then print the table and write the report; 1 if a stage failed.

    Raises:
        ValueError: the config is invalid, or `output` holds a different data set.
        Interrupted: Ctrl-C.
    """
    from cli.report.build import write_report
    from cli.study.load import load_study
    from cli.study.results import load_results
    from cli.study.run import check_settings, run_study

    study = load_study(args.config)
    given = {name: getattr(args, name) for name in ("output", "data", "backend") if getattr(args, name) is not None}
    if args.seed is not None:
        given["seeds"] = (args.seed,)
    study = dataclasses.replace(study, **given)
    check_settings(study)
    if code := run_study(study, args.config, show_output=True, on_arms=lambda arms: _link_runs(study, arms)):
        return code
    results = {arm.stage: arm for arm in load_results(Path(study.output)) if arm.seed == study.seeds[0]}
    print_tables(study, results)
    write_report(study, Path(study.output), Path(study.output) / "report.html")
    print(f"\nReport: {study.output}/report.html. Curves: tensorboard --logdir {study.output}")
    return 0


def print_tables(study: StudyConfig, results: Mapping[str, ArmResult]) -> None:
    """Print scores and paired differences with 95 % intervals over tasks, and write them to `results.json`.

    Args:
        study: names the splits and the differences.
        results: of one seed, by stage.
    """
    from rich.console import Console

    from lightning_modules.evaluation.statistics import mean_interval, paired_difference

    ks = sorted({1, study.measurement.num_samples})
    compared: dict[str, tuple[str, int | None]] = {}
    for split in study.measurement.splits:
        depths = {pair.tasks: (split, pair.depth) for pair in study.exploratory if pair.split == split}
        compared |= depths or {split: (split, None)}
    scores: dict[str, dict[str, dict[str, dict[str, float]]]] = {
        tasks: {
            stage.name: results[stage.name].evaluation[split].select_depth(depth).metric_scores(ks)
            for stage in study.stages
        }
        for tasks, (split, depth) in compared.items()
    }
    intervals: dict[str, dict[str, dict[str, Interval]]] = {
        tasks: {
            stage: {metric: mean_interval(values) for metric, values in metrics.items()}
            for stage, metrics in by_stage.items()
        }
        for tasks, by_stage in scores.items()
    }
    differences: dict[str, dict[str, dict[str, Interval]]] = {}
    for pair in study.exploratory:
        after, before = scores[pair.tasks][pair.treatment], scores[pair.tasks][pair.control]
        differences.setdefault(f"{pair.treatment} - {pair.control}", {})[pair.tasks] = {
            metric: paired_difference(after[metric], before[metric]) for metric in after
        }
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_COLUMNS)
    rows = [
        [stage, tasks, str(len(next(iter(scores[tasks][stage].values())))), *map(_format_score, metrics.values())]
        for tasks, by_stage in intervals.items()
        for stage, metrics in by_stage.items()
    ]
    metrics = list(next(iter(next(iter(intervals.values())).values())))
    _print_table(console, "mean and 95 % interval over tasks", ["model", "tasks of", "number", *metrics], rows)
    for name, by_tasks in differences.items():
        rows = [[tasks, *map(_format_difference, found.values())] for tasks, found in by_tasks.items()]
        _print_table(console, f"{name}, paired by task, 95 % interval", ["tasks of", *metrics], rows)
    seconds = {stage: round(60 * arm.minutes) for stage, arm in results.items()}
    console.print("seconds: " + ", ".join(f"{stage} {spent}" for stage, spent in seconds.items()), highlight=False)
    console.print("`atomic` was trained on; `synthetic_test` and `synthetic_test_deeper` hold unseen compositions.")
    content = {"scores": intervals, "differences": differences, "seconds": seconds}
    write_json(Path(study.output) / "results.json", content)


def _link_runs(study: StudyConfig, arms: list) -> None:
    """Link `OUTPUT/STAGE` to the run of each stage.

    Raises:
        UsageError: there is something else.
    """
    for arm in arms:
        link = Path(study.output) / arm.stage
        if link.exists() and not link.is_symlink():
            raise UsageError(f"{link} exists and is not of this version: use another --output, or delete it")
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(arm.run_dir, link.parent))


def _print_table(console: Console, title: str, columns: list[str], rows: list[list[str]]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        is_name = column in ("model", "tasks of")
        table.add_column(column, justify="left" if is_name else "right", no_wrap=is_name)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _format_score(interval: Interval) -> str:
    return f"{interval.mean:.3f} ({interval.low:.3f}-{interval.high:.3f})"


def _format_difference(interval: Interval) -> str:
    return f"{interval.mean:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"
