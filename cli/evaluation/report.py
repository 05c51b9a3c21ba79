"""What an evaluation found, for people and programs: on screen, as Markdown, JSON and TensorBoard curves.

It only reads judged completions; nothing is sampled or run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.evaluation.plan import UNSEEN_SUFFIX
from executor.commands.io import write_json
from lightning_modules.evaluation.breakdown import GROUPS, GroupScore, breakdown
from lightning_modules.evaluation.records import Evaluation
from lightning_modules.evaluation.statistics import Interval, paired_difference, score_interval

Results = Mapping[str, Evaluation]
"""By suite; the unseen wording of a suite stands under its name with `_unseen`."""


def scores_of(evaluation: Evaluation, ks: list[int]) -> dict[str, Interval]:
    """Make the rows of a table: greedy pass@1 and sampled pass@k, with their intervals over tasks."""
    rows = {"pass@1 greedy": evaluation.greedy_scores()}
    rows |= {f"pass@{k} sampled": evaluation.scores(k) for k in ks}
    return {name: score_interval(scores) for name, scores in rows.items() if scores}


def wording_differences(results: Results) -> dict[str, Interval]:
    """Compare, task by task, greedy pass@1 in unseen words with that in seen ones, by suite."""
    found = {}
    for name, seen in results.items():
        unseen = results.get(f"{name}{UNSEEN_SUFFIX}")
        if unseen is not None:
            before, after = seen.greedy_scores(), unseen.greedy_scores()
            both = before.keys() & after.keys()
            pairs = [{task: scores[task] for task in both} for scores in (after, before)]
            if both:
                found[name] = paired_difference(*pairs)
    return found


def print_results(results: Results, ks: list[int], *, title: str) -> None:
    """Print the scores by suite, how completions ended, and what unseen words cost."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in ("", "", "mean", "95 % interval", "tasks"):
        table.add_column(column, justify="left" if not column else "right")
    for suite, evaluation in results.items():
        for row, (name, interval) in enumerate(scores_of(evaluation, ks).items()):
            count = str(len(evaluation.tasks)) if row == 0 else ""
            ends = f"{interval.low:.3f} to {interval.high:.3f}"
            table.add_row(suite if row == 0 else "", name, f"{interval.mean:.3f}", ends, count)
    console = Console()
    console.print(table)
    for suite, evaluation in results.items():
        console.print(f"{suite}: {_endings(evaluation)}", highlight=False, soft_wrap=True)
    for suite, difference in wording_differences(results).items():
        console.print(f"{suite}, unseen - seen wording: {_signed(difference)}", highlight=False, soft_wrap=True)


def write_results(directory: Path, results: Results, ks: list[int], *, settings: Mapping[str, Any], model: str) -> None:
    """Write `results.json`, `report.md` and TensorBoard events into the directory of an evaluation."""
    write_json(directory / "results.json", as_json(results, ks, settings=settings, model=model))
    fresh = directory / ".report.md.tmp"
    fresh.write_text(as_markdown(results, ks, settings=settings, model=model), encoding="utf-8")
    fresh.replace(directory / "report.md")
    _write_curves(directory, results, ks)


def as_json(results: Results, ks: list[int], *, settings: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Put everything into plain JSON values."""
    suites = {
        name: {
            "num_tasks": len(evaluation.tasks),
            "scores": {row: interval._asdict() for row, interval in scores_of(evaluation, ks).items()},
            "statuses": {"greedy": evaluation.statuses(greedy=True), "samples": evaluation.statuses()},
            "by": {
                by: {group: _group_json(score) for group, score in breakdown(evaluation, by).items()} for by in GROUPS
            },
        }
        for name, evaluation in results.items()
    }
    differences = {name: interval._asdict() for name, interval in wording_differences(results).items()}
    return {"model": model, "settings": settings, "suites": suites, "unseen_minus_seen_wording": differences}


def as_markdown(results: Results, ks: list[int], *, settings: Mapping[str, Any], model: str) -> str:
    """Write the report."""
    lines = [f"# Evaluation of {settings['checkpoint']}", "", f"Model: {model}. Intervals are 95 %, over tasks.", ""]
    lines += ["| suite | tasks | score | mean | 95 % interval |", "|---|---|---|---|---|"]
    for suite, evaluation in results.items():
        for name, interval in scores_of(evaluation, ks).items():
            lines.append(f"| {suite} | {len(evaluation.tasks)} | {name} | {_cells(interval)} |")
    if differences := wording_differences(results):
        lines += ["", "## Unseen - seen wording", "", "Greedy pass@1, paired by task."]
        lines += ["", *(f"- {suite}: {_signed(difference)}" for suite, difference in differences.items())]
    lines += ["", "## How completions ended", "", *(f"- {suite}: {_endings(e)}" for suite, e in results.items())]
    for suite, evaluation in results.items():
        for by in GROUPS:
            if rows := breakdown(evaluation, by):
                lines += [
                    "",
                    f"## {suite} by {by}",
                    "",
                    "| | tasks | greedy pass@1 | sampled pass@1 |",
                    "|---|---|---|---|",
                ]
                lines += [
                    f"| {group} | {score.num_tasks} | {_short(score.greedy)} | {_short(score.sampled)} |"
                    for group, score in rows.items()
                ]
    return "\n".join(lines) + "\n"


def _write_curves(directory: Path, results: Results, ks: list[int]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    from lightning_modules.evaluation.figures import endings_figure, pass_at_k_figure

    for old in directory.glob("events.out.tfevents.*"):
        old.unlink()
    with SummaryWriter(str(directory)) as writer:
        for suite, evaluation in results.items():
            for name, interval in scores_of(evaluation, ks).items():
                writer.add_scalar(f"evaluation/{suite}/{name.replace('@', '_at_').replace(' ', '_')}", interval.mean, 0)
            completions = [c for task in evaluation.tasks for c in task.completions()]
            for status in sorted({c.status for c in completions}):
                share = sum(c.status == status for c in completions) / len(completions)
                writer.add_scalar(f"evaluation/{suite}/share_{status}", share, 0)
        writer.add_figure("figures/pass_at_k", pass_at_k_figure(results, ks))
        writer.add_figure("figures/how_answers_end", endings_figure(results))


def _endings(evaluation: Evaluation) -> str:
    found = []
    for what, statuses in (("greedy", evaluation.statuses(greedy=True)), ("samples", evaluation.statuses())):
        total = sum(statuses.values())
        if total:
            ended = ", ".join(f"{name} {count} ({count / total:.0%})" for name, count in statuses.items() if count)
            found.append(f"{what}: {ended}")
    return "; ".join(found)


def _group_json(score: GroupScore) -> dict[str, Any]:
    return {
        "num_tasks": score.num_tasks,
        "greedy": None if score.greedy is None else score.greedy._asdict(),
        "sampled": None if score.sampled is None else score.sampled._asdict(),
    }


def _cells(interval: Interval) -> str:
    return f"{interval.mean:.3f} | {interval.low:.3f} to {interval.high:.3f}"


def _short(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.mean:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"
