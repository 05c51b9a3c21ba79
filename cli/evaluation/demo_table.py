"""What the demo prints at its end: one table, the paired differences, the times, the TensorBoard command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from cli.commands.demo import MODELS, DemoConfig
from cli.evaluation.demo_evaluation import read_evaluation
from executor.commands.io import write_json

if TYPE_CHECKING:
    from lightning_modules.evaluation.records import Evaluation
    from lightning_modules.evaluation.statistics import Interval

_WIDE = 120  # columns, where the output goes to a file or a pipe
NAMES = {"untrained": "untrained", "sft": "SFT", "ppo": "SFT+PPO"}


def scores_of(evaluation: Evaluation, ks: tuple[int, ...]) -> dict[str, dict[str, float]]:
    """Scores of each metric of the table, task by task."""
    return {"pass@1 greedy": evaluation.greedy_scores(), **{f"pass@{k} sampled": evaluation.scores(k) for k in ks}}


def print_report(config: DemoConfig, seconds: Mapping[str, float]) -> None:
    """Print the report and keep its numbers in `output/results.json`."""
    from lightning_modules.evaluation.statistics import mean_interval, paired_difference

    ks = tuple(sorted({1, config.evaluation.num_samples}))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    table = Table(title="mean and 95 % interval over tasks", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("model", "split", "tasks", "pass@1 greedy", *(f"pass@{k} sampled" for k in ks)):
        table.add_column(column, justify="left" if column in ("model", "split") else "right")
    numbers: dict[str, dict[str, dict[str, Interval]]] = {}
    differences: dict[str, dict[str, Interval]] = {}
    for split in config.evaluation.num_tasks:
        scores = {model: scores_of(read_evaluation(config, model, split), ks) for model in MODELS}
        numbers[split] = {
            model: {metric: mean_interval(values) for metric, values in metrics.items()}
            for model, metrics in scores.items()
        }
        differences[split] = {
            metric: paired_difference(scores["ppo"][metric], scores["sft"][metric]) for metric in scores["sft"]
        }
        for model in MODELS:
            cells = [_cell(interval) for interval in numbers[split][model].values()]
            table.add_row(NAMES[model], split, str(len(scores[model]["pass@1 greedy"])), *cells)
        table.add_section()
    console.print(table)
    _print_differences(console, differences)
    console.print("seconds: " + ", ".join(f"{stage} {spent:.0f}" for stage, spent in seconds.items()), highlight=False)
    console.print("`atomic` and `synthetic_train` were trained on; `synthetic_test` holds compositions never seen.")
    console.print(
        f"\nLook at the curves:  .venv/bin/tensorboard --logdir {config.output}", highlight=False, markup=False
    )
    as_lists = {
        split: {m: {k: list(i) for k, i in ms.items()} for m, ms in ns.items()} for split, ns in numbers.items()
    }
    gains = {split: {metric: list(interval) for metric, interval in d.items()} for split, d in differences.items()}
    write_json(
        Path(config.output) / "results.json", {"scores": as_lists, "ppo_minus_sft": gains, "seconds": dict(seconds)}
    )


def _print_differences(console: Console, differences: Mapping[str, Mapping[str, Interval]]) -> None:
    title = "SFT+PPO minus SFT, paired by task, 95 % interval"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("split")
    for metric in next(iter(differences.values())):
        table.add_column(metric, justify="right")
    for split, metrics in differences.items():
        table.add_row(split, *(f"{i.mean:+.3f} ({i.low:+.3f} to {i.high:+.3f})" for i in metrics.values()))
    console.print(table)


def _cell(interval: Interval) -> str:
    return f"{interval.mean:.3f} ({interval.low:.3f}-{interval.high:.3f})"
