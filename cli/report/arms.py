"""The sections on what finished arms score: by arm and split, by number of functions, by k, by depth and topic.

Everything here is exploratory: intervals are of 95% each, and nothing is corrected for how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from cli.report.document import Block, Figure, Gallery, Section, Table, Text
from cli.report.dots import DotRow, dot_rows
from cli.report.evidence import EXPLORATORY, Arms, explored_difference, pass_at, stage_mean
from cli.report.findings import percent_tick
from cli.report.lines import Axes, Series, line_plot
from cli.report.numbers import percent, percent_with, points_with
from cli.study.plan import METRICS, StudyConfig
from cli.study.verdicts import CrossedMean
from lightning_modules.evaluation.breakdown import GROUPS
from lightning_modules.evaluation.records import TaskResult

Tones = Mapping[str, str]
_TRAINING, _DEEPER = "synthetic_train", "synthetic_test_deeper"


def scores_section(study: StudyConfig, arms: Arms, tones: Tones) -> Section:
    """Greedy pass@1 of every stage on every split, best first."""
    panels, rows = [], []
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
                tone=tones[stage],
                words=percent_with(intervals[stage]),
            )
            for stage in ordered
        ]
        seen = f"{split}: {ordered[0]} leads with {percent(found[ordered[0]].mean)}"
        if len(ordered) > 1 and found[ordered[0]].mean == found[ordered[1]].mean:
            seen = f"{split}: {percent(found[ordered[0]].mean)} at best"
        panels.append((seen, dot_rows(dots, write=percent_tick, label=seen)))
        for stage in ordered:
            sampled = stage_mean(arms, stage, split=split, metric=METRICS[1])
            shown = "" if sampled is None else percent_with(sampled.interval(EXPLORATORY))
            num = f"{found[stage].num_seeds} x {found[stage].num_tasks}"
            rows.append([stage, split, percent_with(intervals[stage]), shown, num])
    note = (
        "Line: 95% interval over seeds and tasks; small marks: seeds. Exploratory: only the pairs under Findings were "
        "claimed before the run."
    )
    table = Table(columns=["arm", "split", *METRICS, "seeds x tasks"], rows=rows)
    gallery = Gallery(title="Greedy pass@1, best first", panels=panels, note=note, numbers=table)
    return Section(title="What every arm scores", anchor="arms", blocks=[gallery, *_differences(study, arms)])


def _differences(study: StudyConfig, arms: Arms) -> list[Table]:
    """Points between the stages that the study's file names under `explored`; empty where none was measured."""
    rows = []
    for comparison in study.explored:
        found = [explored_difference(comparison, arms, metric=metric) for metric in METRICS]
        measured = next((one for one in found if one is not None), None)
        if measured is not None:
            cells = ["" if one is None else points_with(one.interval(EXPLORATORY)) for one in found]
            num = f"{measured.num_seeds} x {measured.num_tasks}"
            rows.append([f"{comparison.better} less {comparison.worse}", comparison.split, *cells, num])
    caption = "Differences, paired by seed and task, 95% intervals (exploratory: not claimed, not corrected)"
    columns = ["difference", "split", *METRICS, "seeds x tasks"]
    return [Table(columns=columns, rows=rows, caption=caption)] if rows else []


def functions_figure(
    study: StudyConfig, arms: Arms, tones: Tones, *, split: str, counts: Mapping[str, int]
) -> Figure | None:
    """Greedy pass@1 of SFT against the number of synthetic functions it saw; None where that number never varies."""
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
        series.append(Series(label=stage, points=[(x, interval.mean)], tone=tones[stage], whiskers=whiskers))
        rows.append([stage, f"{number:,}", percent_with(interval)])
    numbers = sorted({number for number, _ in found.values()})
    axes = Axes(
        label=f"Greedy pass@1 on {split} against the number of synthetic functions",
        x_title="synthetic functions in SFT (logarithmic)",
        x_ticks=[(math.log1p(number), f"{number:,}") for number in numbers],
        write_y=percent_tick,
        y_from=0.0,
    )
    few, many = (
        max((stage for stage in found if found[stage][0] == number), key=lambda stage: found[stage][1].mean)
        for number in (numbers[0], numbers[-1])
    )
    title = (
        f"With {numbers[0]:,} synthetic functions {percent(found[few][1].mean)} at best ({few}), "
        f"with {numbers[-1]:,} {percent(found[many][1].mean)} ({many})"
    )
    note = f"Greedy pass@1 on {split}, arms of SFT. Their lengths are under How it was made."
    table = Table(columns=["arm", "synthetic functions", METRICS[0]], rows=rows)
    return Figure(title=title, svg=line_plot(series, axes), note=note, numbers=table)


def num_functions(arms: Arms, stage: str, counts: Mapping[str, int]) -> int | None:
    """Count the synthetic functions a stage of SFT was trained on; None where that is not known, or not the question.

    Args:
        arms: results by stage and seed.
        stage: name of the stage.
        counts: tasks in each split of the data set, for a mixture that takes all of them.
    """
    for arm in arms[stage].values():
        mixture = arm.config.get("data", {}).get("init_args", {}).get("mixture")
        if not mixture or "pretraining" in mixture:
            return None
        if _TRAINING not in mixture:
            return 0
        asked = (mixture[_TRAINING] or {}).get("count")
        return counts.get(_TRAINING) if asked is None else asked
    return None


def samples_figure(study: StudyConfig, arms: Arms, tones: Tones, *, split: str) -> Figure | None:
    """pass@k against k; None where fewer than two k can be had."""
    ks = [1]
    while 2 * ks[-1] <= study.measurement.num_samples:
        ks.append(2 * ks[-1])
    series, rows = [], []
    for stage in study.stages:
        found = [(k, mean) for k in ks if (mean := pass_at(arms, stage.name, split=split, k=k)) is not None]
        if not found:
            continue
        intervals = [(k, mean.interval(EXPLORATORY)) for k, mean in found]
        rows.append([stage.name, *(percent_with(interval) for _, interval in intervals)])
        line = [(math.log2(k), interval.mean) for k, interval in intervals]
        whiskers = [(math.log2(k), interval.low, interval.high) for k, interval in intervals]
        tone = tones[stage.name]
        series.append(Series(label=stage.name, points=line, tone=tone, whiskers=whiskers, dotted=True))
    if len(ks) < 2 or not series:
        return None
    best = max(series, key=lambda one: one.points[-1][1])
    title = f"{ks[-1]} tries: {best.label} goes from {percent(best.points[0][1])} to {percent(best.points[-1][1])}"
    axes = Axes(
        label=f"pass@k on {split}",
        x_title="tries k",
        x_ticks=[(math.log2(k), str(k)) for k in ks],
        write_y=percent_tick,
        y_from=0.0,
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
    """Greedy pass@1 by depth (one split and the deeper one) and by topic (one split), as heat maps."""
    depths = [name for name in study.measurement.splits if name in (split, _DEEPER)]
    blocks: list[Block] = [
        Text("Greedy pass@1, the mean over seeds of the tasks in a group; a task counts for each of its topics."),
        *_heat(study, arms, depths, GROUPS["depth"], what=f"number of steps, on {' and '.join(depths)}"),
        *_heat(study, arms, [split], GROUPS["topic"], what=f"topic, on {split}"),
    ]
    return Section(title="By depth and topic", anchor="groups", blocks=blocks)


def _heat(
    study: StudyConfig,
    arms: Arms,
    splits: Sequence[str],
    groups_of: Callable[[TaskResult], Sequence[str]],
    *,
    what: str,
) -> list[Table]:
    scores: dict[str, dict[str, list[float]]] = {}
    for stage in study.stages:
        for arm in arms[stage.name].values():
            for evaluation in (arm.evaluation[split] for split in splits if split in arm.evaluation):
                judged = evaluation.greedy_scores()
                for task in evaluation.tasks:
                    for name in groups_of(task) if task.task_id in judged else ():
                        scores.setdefault(stage.name, {}).setdefault(name, []).append(judged[task.task_id])
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
    return [Table(columns=columns, rows=rows, shades=shades, caption=f"Percent by {what} (tasks in brackets)")]


def _measured(arms: Arms, split: str) -> dict[str, CrossedMean]:
    found = {stage: stage_mean(arms, stage, split=split, metric=METRICS[0]) for stage in arms}
    return {stage: mean for stage, mean in found.items() if mean is not None}
