"""The section on the scores of finished arms: by split, by number of functions, by k, by depth and topic.

Everything here is exploratory: the intervals are of 95 % each, without a correction for their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from cli.report.document import Block, Figure, Gallery, Panel, Section, Table, Text
from cli.report.figures.plots import DotRow, PlotAxes, Series, dot_plot, line_plot
from cli.report.format import percent, percent_tick, percent_with_interval, points_with_interval
from cli.report.sections.evidence import EXPLORATORY, Arms, exploratory_difference, stage_mean, stage_pass_at_k
from cli.study.plan import METRICS, StudyConfig
from cli.study.verdicts import CrossedMean
from lightning_modules.evaluation.records import TaskResult, name_metric
from lightning_modules.evaluation.statistics import GROUPS

Colors = Mapping[str, str]
_TRAINING, _DEEPER = "synthetic_train", "synthetic_test_deeper"


def scores_section(study: StudyConfig, arms: Arms, colors: Colors) -> Section:
    """Greedy pass@1 of every stage on every split, best first."""
    panels, rows = [], []
    metrics = [*METRICS, *([name_metric(study.measurement.num_samples)] if study.measurement.num_samples > 1 else [])]
    for split in study.measurement.splits:
        found = _measured(arms, split)
        if not found:
            continue
        ordered = sorted(found, key=lambda stage: -found[stage].mean)
        intervals = {stage: found[stage].interval(EXPLORATORY) for stage in ordered}
        dots = [
            DotRow(
                label=stage,
                interval=intervals[stage],
                by_seed=found[stage].by_seed,
                color=colors[stage],
                value=percent_with_interval(intervals[stage]),
            )
            for stage in ordered
        ]
        title = f"{split}: {ordered[0]} leads with {percent(found[ordered[0]].mean)}"
        if len(ordered) > 1 and found[ordered[0]].mean == found[ordered[1]].mean:
            title = f"{split}: {percent(found[ordered[0]].mean)} at best"
        panels.append(Panel(title, dot_plot(dots, format_value=percent_tick, label=title)))
        for stage in ordered:
            means = [stage_mean(arms, stage, split=split, metric=metric) for metric in metrics]
            cells = ["" if mean is None else percent_with_interval(mean.interval(EXPLORATORY)) for mean in means]
            rows.append([stage, split, *cells, f"{found[stage].num_seeds} x {found[stage].num_tasks}"])
    note = (
        "Line: 95% interval over seeds and tasks; small marks: seeds. Exploratory: only the pairs under Hypotheses "
        "were chosen before the run."
    )
    table = Table(columns=["arm", "split", *metrics, "seeds x tasks"], rows=rows)
    gallery = Gallery(title="Greedy pass@1, best first", panels=panels, note=note, numbers=table)
    return Section(title="Scores of all arms", anchor="arms", blocks=[gallery, *_differences(study, arms)])


def _differences(study: StudyConfig, arms: Arms) -> list[Table]:
    """Differences that the study's file lists under `exploratory`; empty if none was measured."""
    rows = []
    for comparison in study.exploratory:
        found = [exploratory_difference(comparison, arms, metric=metric) for metric in METRICS]
        measured = next((one for one in found if one is not None), None)
        if measured is not None:
            cells = ["" if one is None else points_with_interval(one.interval(EXPLORATORY)) for one in found]
            num = f"{measured.num_seeds} x {measured.num_tasks}"
            rows.append([f"{comparison.treatment} minus {comparison.control}", comparison.tasks, *cells, num])
    caption = "Differences, paired by seed and task, 95% intervals (exploratory, not corrected)"
    columns = ["difference", "split", *METRICS, "seeds x tasks"]
    return [Table(columns=columns, rows=rows, caption=caption)] if rows else []


def functions_figure(
    study: StudyConfig, arms: Arms, colors: Colors, *, split: str, counts: Mapping[str, int]
) -> Figure | None:
    """Greedy pass@1 of SFT against the number of synthetic functions; None if that number does not vary."""
    found = {}
    for stage in study.stages:
        number = None if stage.kind != "sft" else num_functions(arms, stage.name, counts)
        mean = stage_mean(arms, stage.name, split=split, metric=METRICS[0])
        if number is not None and mean is not None:
            found[stage.name] = (number, mean)
    if len({number for number, _ in found.values()}) < 2:
        return None
    series, rows = [], []
    for stage, (number, mean) in sorted(found.items(), key=lambda item: item[1][0]):
        x, interval = math.log1p(number), mean.interval(EXPLORATORY)
        whiskers = [(x, interval.low, interval.high)]
        series.append(Series(label=stage, points=[(x, interval.mean)], color=colors[stage], whiskers=whiskers))
        rows.append([stage, f"{number:,}", percent_with_interval(interval)])
    numbers = sorted({number for number, _ in found.values()})
    axes = PlotAxes(
        label=f"Greedy pass@1 on {split} against the number of synthetic functions",
        x_title="synthetic functions in SFT (logarithmic)",
        x_ticks=[(math.log1p(number), f"{number:,}") for number in numbers],
        format_y=percent_tick,
        y_min=0.0,
    )
    few, many = (
        max((stage for stage in found if found[stage][0] == number), key=lambda stage: found[stage][1].mean)
        for number in (numbers[0], numbers[-1])
    )
    title = (
        f"With {numbers[0]:,} synthetic functions {percent(found[few][1].mean)} at best ({few}), "
        f"with {numbers[-1]:,} {percent(found[many][1].mean)} ({many})"
    )
    note = f"Greedy pass@1 on {split}, arms of SFT. Their lengths are under Provenance."
    table = Table(columns=["arm", "synthetic functions", METRICS[0]], rows=rows)
    return Figure(title=title, svg=line_plot(series, axes), note=note, numbers=table)


def num_functions(arms: Arms, stage: str, counts: Mapping[str, int]) -> int | None:
    """Count the synthetic functions that a stage of SFT was trained on; None if unknown or not applicable.

    Args:
        arms: results by stage and seed.
        stage: name of the stage.
        counts: tasks in each split of the data set, for mixtures without a count.
    """
    for arm in arms[stage].values():
        mixture = arm.config.get("data", {}).get("init_args", {}).get("mixture")
        if not mixture or "pretraining" in mixture:
            return None
        if _TRAINING not in mixture:
            return 0
        number = (mixture[_TRAINING] or {}).get("count")
        return counts.get(_TRAINING) if number is None else number
    return None


def samples_figure(study: StudyConfig, arms: Arms, colors: Colors, *, split: str) -> Figure | None:
    """pass@k against k; None if there are samples for fewer than two values of k."""
    ks = [1]
    while 2 * ks[-1] <= study.measurement.num_samples:
        ks.append(2 * ks[-1])
    series, rows = [], []
    for stage in study.stages:
        found = [(k, mean) for k in ks if (mean := stage_pass_at_k(arms, stage.name, split=split, k=k)) is not None]
        if not found:
            continue
        intervals = [(k, mean.interval(EXPLORATORY)) for k, mean in found]
        rows.append([stage.name, *(percent_with_interval(interval) for _, interval in intervals)])
        line = [(math.log2(k), interval.mean) for k, interval in intervals]
        whiskers = [(math.log2(k), interval.low, interval.high) for k, interval in intervals]
        color = colors[stage.name]
        series.append(Series(label=stage.name, points=line, color=color, whiskers=whiskers, with_dots=True))
    if len(ks) < 2 or not series:
        return None
    best = max(series, key=lambda one: one.points[-1][1])
    title = f"{ks[-1]} samples: {best.label} goes from {percent(best.points[0][1])} to {percent(best.points[-1][1])}"
    axes = PlotAxes(
        label=f"pass@k on {split}",
        x_title="samples k",
        x_ticks=[(math.log2(k), str(k)) for k in ks],
        format_y=percent_tick,
        y_min=0.0,
    )
    table = Table(columns=["arm", *(f"pass@{k}" for k in ks)], rows=rows)
    height = max(250.0, 60 + 14.0 * len(series))
    return Figure(
        title=title,
        svg=line_plot(series, axes, height=height),
        note=f"Sampled, on {split}; lines: 95% intervals.",
        numbers=table,
    )


def groups_section(study: StudyConfig, arms: Arms, *, split: str) -> Section:
    """Greedy pass@1 by depth, steps and shape (one split and the deeper one) and by topic (one split), as heat maps."""
    depths = [name for name in study.measurement.splits if name in (split, _DEEPER)]
    blocks: list[Block] = [
        Text("Greedy pass@1, the mean over seeds of the tasks in a group; a task counts in each of its topics."),
        *_heat_map(study, arms, depths, GROUPS["depth"], by=f"depth, on {' and '.join(depths)}"),
        *_heat_map(study, arms, depths, GROUPS["steps"], by=f"number of steps, on {' and '.join(depths)}"),
        *_heat_map(study, arms, depths, GROUPS["shape"], by=f"depth and tree shape, on {' and '.join(depths)}"),
        *_heat_map(study, arms, [split], GROUPS["topic"], by=f"topic, on {split}"),
    ]
    return Section(title="By depth, steps, shape and topic", anchor="groups", blocks=blocks)


def _heat_map(
    study: StudyConfig,
    arms: Arms,
    splits: Sequence[str],
    find_groups: Callable[[TaskResult], Sequence[str]],
    *,
    by: str,
) -> list[Table]:
    scores: dict[str, dict[str, list[float]]] = {}
    for stage in study.stages:
        for arm in arms[stage.name].values():
            for evaluation in (arm.evaluation[split] for split in splits if split in arm.evaluation):
                graded = evaluation.greedy_scores()
                for task in evaluation.tasks:
                    for name in find_groups(task) if task.task_id in graded else ():
                        scores.setdefault(stage.name, {}).setdefault(name, []).append(graded[task.task_id])
    names = sorted({name for groups in scores.values() for name in groups})
    if not names:
        return []
    means = [
        [sum(found) / len(found) if (found := groups.get(name)) else None for name in names]
        for groups in scores.values()
    ]
    most = max((value for row in means for value in row if value is not None), default=0.0) or 1.0
    rows = [
        [stage, *("" if value is None else f"{100 * value:.0f}" for value in row)]
        for stage, row in zip(scores, means, strict=True)
    ]
    shades = [[None if value is None else value / most for value in row] for row in means]
    sizes = [
        max(len(groups.get(name, ())) // max(len(arms[stage]), 1) for stage, groups in scores.items()) for name in names
    ]
    columns = ["arm", *(f"{name} ({size})" for name, size in zip(names, sizes, strict=True))]
    return [Table(columns=columns, rows=rows, shades=shades, caption=f"Percent by {by} (tasks in brackets)")]


def _measured(arms: Arms, split: str) -> dict[str, CrossedMean]:
    found = {stage: stage_mean(arms, stage, split=split, metric=METRICS[0]) for stage in arms}
    return {stage: mean for stage, mean in found.items() if mean is not None}
