"""Write the results of an evaluation to the terminal, Markdown, JSON and TensorBoard. Nothing is sampled or run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.evaluation.plan import HELD_OUT_SUFFIX
from executor.commands.io import open_atomic, write_json
from lightning_modules.evaluation.records import Evaluation
from lightning_modules.evaluation.reference_logprobs import LineSummary
from lightning_modules.evaluation.statistics import (
    GROUPS,
    GroupScore,
    Interval,
    metric_intervals,
    paired_difference,
    score_depths,
    score_groups,
)

Results = Mapping[str, Evaluation]
"""By suite; results with the held-out wording of a suite are under its name with `_held_out`."""
References = Mapping[str, Sequence[LineSummary]]
"""Log-probabilities of reference solutions, by suite."""
_NO_REFERENCES: References = {}


def wording_differences(results: Results) -> dict[str, Interval]:
    """Return greedy pass@1 with the held-out wording less that with the wording of training, paired, by suite."""
    found = {}
    for name, evaluation in results.items():
        held_out = results.get(f"{name}{HELD_OUT_SUFFIX}")
        if held_out is not None:
            before, after = evaluation.greedy_scores(), held_out.greedy_scores()
            both = before.keys() & after.keys()
            pairs = [{task: scores[task] for task in both} for scores in (after, before)]
            if both:
                found[name] = paired_difference(*pairs)
    return found


def print_results(results: Results, ks: list[int], *, title: str, references: References = _NO_REFERENCES) -> None:
    """Print the scores and statuses by suite, and the differences between wordings."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in ("", "", "mean", "95 % interval", "tasks"):
        table.add_column(column, justify="left" if not column else "right")
    for suite, evaluation in results.items():
        for row, (name, interval) in enumerate(metric_intervals(evaluation, ks).items()):
            count = str(len(evaluation.tasks)) if row == 0 else ""
            ends = f"{interval.low:.3f} to {interval.high:.3f}"
            table.add_row(suite if row == 0 else "", name, f"{interval.mean:.3f}", ends, count)
    console = Console()
    console.print(table)
    for heading, columns, rows in [*_depth_tables(results), *_line_tables(references)]:
        part = Table(title=heading, title_justify="left")
        for column in columns:
            part.add_column(column, justify="right")
        for cells in rows:
            part.add_row(*cells)
        console.print(part)
    for suite, evaluation in results.items():
        console.print(f"{suite}: {_count_statuses(evaluation)}", highlight=False, soft_wrap=True)
    for suite, difference in wording_differences(results).items():
        console.print(
            f"{suite}, held-out - in-distribution wording: {_signed(difference)}", highlight=False, soft_wrap=True
        )


def write_results(
    directory: Path,
    results: Results,
    ks: list[int],
    *,
    settings: Mapping[str, Any],
    model: str,
    references: References = _NO_REFERENCES,
) -> None:
    """Write `results.json`, `report.md` and TensorBoard events into the output directory of an evaluation."""
    content = to_json(results, ks, settings=settings, model=model, references=references)
    write_json(directory / "results.json", content)
    with open_atomic(directory / "report.md") as file:
        file.write(render_markdown(results, ks, settings=settings, model=model, references=references))
    _write_curves(directory, results, ks)


def read_references(directory: Path) -> dict[str, list[LineSummary]]:
    """Read the log-probabilities of reference solutions from the results in a directory; empty if there are none."""
    path = directory / "results.json"
    suites = json.loads(path.read_text(encoding="utf-8"))["suites"] if path.exists() else {}
    return {
        name: [LineSummary(**line) for line in suite["references"]]
        for name, suite in suites.items()
        if suite.get("references")
    }


def to_json(
    results: Results,
    ks: list[int],
    *,
    settings: Mapping[str, Any],
    model: str,
    references: References = _NO_REFERENCES,
) -> dict[str, Any]:
    """Return all results as plain JSON values."""
    suites = {
        name: {
            "num_tasks": len(evaluation.tasks),
            "scores": {row: interval._asdict() for row, interval in metric_intervals(evaluation, ks).items()},
            "statuses": {"greedy": evaluation.statuses(greedy=True), "samples": evaluation.statuses()},
            "by": {
                by: {group: _group_json(score) for group, score in score_groups(evaluation, by).items()}
                for by in GROUPS
            },
            "by_depth": {str(depth): score._asdict() for depth, score in score_depths(evaluation).items()},
            "references": [dataclasses.asdict(line) for line in references.get(name, ())],
        }
        for name, evaluation in results.items()
    }
    differences = {name: interval._asdict() for name, interval in wording_differences(results).items()}
    return {
        "model": model,
        "settings": settings,
        "suites": suites,
        "held_out_minus_in_distribution_wording": differences,
    }


def render_markdown(
    results: Results,
    ks: list[int],
    *,
    settings: Mapping[str, Any],
    model: str,
    references: References = _NO_REFERENCES,
) -> str:
    """Render the report."""
    lines = [f"# Evaluation of {settings['checkpoint']}", "", f"Model: {model}. Intervals are 95 %, over tasks.", ""]
    lines += ["| suite | tasks | score | mean | 95 % interval |", "|---|---|---|---|---|"]
    for suite, evaluation in results.items():
        for name, interval in metric_intervals(evaluation, ks).items():
            lines.append(f"| {suite} | {len(evaluation.tasks)} | {name} | {_cells(interval)} |")
    if differences := wording_differences(results):
        lines += ["", "## Held-out - in-distribution wording", "", "Greedy pass@1, paired by task."]
        lines += ["", *(f"- {suite}: {_signed(difference)}" for suite, difference in differences.items())]
    lines += [
        "",
        "## Statuses of completions",
        "",
        *(f"- {suite}: {_count_statuses(e)}" for suite, e in results.items()),
    ]
    for heading, columns, rows in [*_depth_tables(results), *_line_tables(references)]:
        lines += ["", f"## {heading}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
        lines += [f"| {' | '.join(cells)} |" for cells in rows]
    for suite, evaluation in results.items():
        for by in GROUPS:
            if rows := score_groups(evaluation, by):
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


def _depth_tables(results: Results) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return heading, columns and rows for each suite with compositions."""
    tables = []
    for suite, evaluation in results.items():
        depths = score_depths(evaluation)
        ks = sorted({k for score in depths.values() for k in score.pass_at_k})
        rows = [
            [
                *(str(depth), str(score.num_tasks), "" if score.greedy is None else f"{score.greedy:.3f}"),
                *(f"{score.pass_at_k[k]:.3f}" if k in score.pass_at_k else "" for k in ks),
                f"{score.truncated_frac:.3f}",
            ]
            for depth, score in depths.items()
        ]
        if rows:
            columns = ["depth", "tasks", "greedy", *(f"pass@{k}" for k in ks), "truncated"]
            tables.append((f"{suite}: pass@k by depth", columns, rows))
    return tables


def _line_tables(references: References) -> list[tuple[str, list[str], list[list[str]]]]:
    columns = ["depth", "line", "references", "mean log-probability (nats)", "lowest line of"]
    return [
        (
            f"{suite}: reference solutions by line",
            columns,
            [
                [
                    *(str(line.depth), line.line, str(line.num_references)),
                    *(f"{line.mean_logprob:.3f}", f"{line.lowest_frac:.1%}"),
                ]
                for line in lines
            ],
        )
        for suite, lines in references.items()
    ]


def _write_curves(directory: Path, results: Results, ks: list[int]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    from lightning_modules.evaluation.figures import pass_at_k_figure, status_figure
    from lightning_modules.training.logging.curve_layout import EVALUATION_SECTIONS, layout

    for old in directory.glob("events.out.tfevents.*"):
        old.unlink()
    with SummaryWriter(str(directory)) as writer:
        writer.add_custom_scalars(layout(EVALUATION_SECTIONS))
        for suite, evaluation in results.items():
            for name, interval in metric_intervals(evaluation, ks).items():
                writer.add_scalar(f"evaluation/{suite}/{name.replace('@', '_at_').replace(' ', '_')}", interval.mean, 0)
            for depth, score in score_depths(evaluation).items():
                if score.greedy is not None:
                    writer.add_scalar(f"evaluation/{suite}/pass_at_1_greedy_depth_{depth}", score.greedy, 0)
            statuses = [completion.status for task in evaluation.tasks for completion in task.completions()]
            for status in sorted(set(statuses)):
                writer.add_scalar(f"status/{suite}/{status}", statuses.count(status) / len(statuses), 0)
        writer.add_figure("figures/pass_at_k", pass_at_k_figure(results, ks))
        writer.add_figure("figures/statuses", status_figure(results))


def _count_statuses(evaluation: Evaluation) -> str:
    found = []
    for what, statuses in (("greedy", evaluation.statuses(greedy=True)), ("samples", evaluation.statuses())):
        total = sum(statuses.values())
        if total:
            counts = ", ".join(f"{name} {count} ({count / total:.0%})" for name, count in statuses.items() if count)
            found.append(f"{what}: {counts}")
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
