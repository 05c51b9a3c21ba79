"""The section on training: scores, loss and reward over time, over-fitting, statuses, and exploited tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from cli.report.document import Block, Figure, Gallery, Panel, Section, Table
from cli.report.figures.plots import Layer, PlotAxes, Series, line_plot, stacked_area
from cli.report.format import percent, percent_tick, points, short
from cli.report.sections.curves import (
    HELD_OUT_TAG,
    LEVELS,
    MIN_TRAIN,
    downsample,
    find_curves,
    has_greedy_train_score,
    mean_curve,
    mean_gap,
    training_path,
    transfer_ratio,
)
from cli.report.sections.evidence import Arms
from cli.report.sections.scores import Colors
from cli.study.plan import StudyConfig
from cli.study.results import ArmResult
from executor.types import Status

_PANEL = 300.0
_REWARD_TAG, _PROBE_TAG, _NUM_PROBED_TAG = "reward/mean", "reward/probe_fail_rate", "reward/num_probed"
_LAST = 0.25
"""Fraction of the iterations that count as the end of a run."""
_FAILURES = (
    ("wrong", ("wrong",), "fail0"),
    ("exception", ("exception",), "fail1"),
    ("does not load", ("load_error", "source_too_long"), "fail2"),
    ("timeout", ("timeout",), "fail3"),
    ("other", ("memory", "output_limit", "crash"), "fail4"),
)


def training_section(study: StudyConfig, arms: Arms, colors: Colors) -> Section:
    """Return all figures of metrics; those that no arm has are left out."""
    blocks: list[Block | None] = [
        _curves(study, arms, colors, HELD_OUT_TAG, what="Pass@1 on synthetic_val", format_value=percent, low=0.0),
        _curves(study, arms, colors, _REWARD_TAG, what="Reward", format_value=short, low=0.0),
        _curves(study, arms, colors, "loss/train", what="Loss, nats a token,", format_value=short, low=0.0),
        _failures(study, arms),
        _train_against_held_out(study, arms, colors),
        _exploited(study, arms, colors),
    ]
    return Section(title="Training", anchor="training", blocks=[block for block in blocks if block is not None])


def _curves(
    study: StudyConfig,
    arms: Arms,
    colors: Colors,
    tag: str,
    *,
    what: str,
    format_value: Callable[[float], str],
    low: float,
) -> Gallery | None:
    found = {}
    for stage in study.stages:
        curves = find_curves(arms[stage.name], tag)
        if mean := mean_curve(curves):
            found[stage.name] = (downsample(mean), [downsample(curve) for curve in curves])
    if not found:
        return None
    highest = max(value for mean, curves in found.values() for curve in (mean, *curves) for _, value in curve)
    panels, rows = [], []
    for stage, (mean, curves) in found.items():
        first, last = mean[0][1], mean[-1][1]
        title = f"{stage}: {format_value(first)} to {format_value(last)}"
        axes = PlotAxes(
            label=f"{what} over training, {title}",
            x_title="step",
            format_y=percent_tick if format_value is percent else short,
            y_min=low,
            y_max=highest,
        )
        one = Series(label="", points=mean, seeds=curves if len(curves) > 1 else (), color=colors[stage])
        panels.append(Panel(title, line_plot([one], axes, width=_PANEL, height=170)))
        rows.append(
            [
                stage,
                format_value(first),
                format_value(last),
                format_value(max(value for _, value in mean)),
                str(len(curves)),
            ]
        )
    table = Table(columns=["arm", "first", "last", "highest", "seeds"], rows=rows)
    note = "Mean over seeds; faint: each seed. All panels have the same vertical axis."
    return Gallery(title=f"{what} during training", panels=panels, note=note, numbers=table)


def _train_against_held_out(study: StudyConfig, arms: Arms, colors: Colors) -> Figure | None:
    series, rows = [], []
    for stage in study.stages:
        paths = [path for arm in arms[stage.name].values() if (path := training_path(arm))]
        if not paths:
            continue
        walked = [[(one.train, one.held_out) for one in path] for path in paths]
        step = mean_path(walked)
        series.append(Series(label=stage.name, points=step, seeds=walked, color=colors[stage.name]))
        train, held_out = step[-1]
        row = [stage.name, percent(train), percent(held_out)]
        if any(has_greedy_train_score(arm) for arm in arms[stage.name].values()):
            ratio = transfer_ratio(train, held_out)
            gaps = [mean_gap(level, paths) for level in LEVELS]
            row += ["" if ratio is None else f"{ratio:.2f}", *("" if gap is None else points(gap) for gap in gaps)]
        else:
            row[1] += " (sampled)"
            row += [""] * (1 + len(LEVELS))
        rows.append(row)
    if not series:
        return None
    low = min(series, key=lambda one: one.points[-1][1] - one.points[-1][0])
    train, held_out = low.points[-1]
    title = f"{low.label} ends with {percent(train)} of training tasks and {percent(held_out)} of held-out ones"
    levels = [f"gap at {100 * level:.0f}%, points" for level in LEVELS]
    table = Table(columns=["arm", "training tasks", "held-out tasks", "held-out / training", *levels], rows=rows)
    note = (
        "Training tasks: greedy completions, or the sampled ones that RL was rewarded for; held-out tasks: greedy "
        "completions of synthetic_val. On the dashed line both are the same. The ratio is left out where the training "
        f"score is below {percent(MIN_TRAIN)}. A gap is training minus held-out score where the training score first "
        "reaches the level; it is left out where a seed never reaches it or starts above it. Neither is computed from "
        "sampled completions."
    )
    axes = PlotAxes(
        label="Pass@1 on held-out tasks against pass@1 on training tasks",
        x_title="pass@1 on training tasks",
        format_x=percent_tick,
        format_y=percent_tick,
        y_min=0.0,
        diagonal=True,
    )
    return Figure(title=title, svg=line_plot(series, axes, height=300), note=note, numbers=table)


def mean_path(paths: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Average paths point by point, up to the end of the shortest."""
    return [
        (sum(x for x, _ in found) / len(found), sum(y for _, y in found) / len(found))
        for found in zip(*paths, strict=False)
    ]


def _failures(study: StudyConfig, arms: Arms) -> Gallery | None:
    panels = []
    for stage in study.stages:
        prefix = "status/rollout/" if stage.kind == "rl" else "status/synthetic_val/"
        by_status = {
            status.value: dict(mean_curve(find_curves(arms[stage.name], f"{prefix}{status.value}")))
            for status in Status
        }
        steps = sorted(by_status["wrong"])
        if not steps:
            continue
        infra = [by_status["infra"].get(step, 0.0) for step in steps]
        fractions = {
            label: [sum(by_status[name].get(step, 0.0) for name in names) for step in steps]
            for label, names, _ in _FAILURES
        }
        failed = [sum(values) for values in zip(*fractions.values(), strict=True)]
        graded = [max(1.0 - fault, 1e-9) for fault in infra]
        layers = [
            Layer(
                label="passed",
                fractions=_downsample(steps, [max(1 - f / j, 0.0) for f, j in zip(failed, graded, strict=True)]),
                color="fail-none",
            )
        ]
        layers += [
            Layer(
                label=label,
                fractions=_downsample(steps, [s / j for s, j in zip(fractions[label], graded, strict=True)]),
                color=color,
            )
            for label, _, color in _FAILURES
        ]
        kept = [step for step, _ in downsample([(step, 0.0) for step in steps])]
        worst = max(layers[1:], key=lambda layer: layer.fractions[-1])
        title = f"{stage.name}: {100 * layers[0].fractions[-1]:.0f}% pass, most others: {worst.label}"
        panels.append(Panel(title, stacked_area(kept, layers, label=f"Statuses of completions, {title}")))
    if not panels:
        return None
    note = (
        "Fractions of graded completions by status, mean over seeds: for RL the rollouts, for SFT the greedy "
        "completions of synthetic_val. Sandbox faults are left out."
    )
    return Gallery(title="Statuses of completions", panels=panels, note=note)


def _downsample(steps: Sequence[float], values: Sequence[float]) -> list[float]:
    return [value for _, value in downsample(list(zip(steps, values, strict=True)))]


def _exploited(study: StudyConfig, arms: Arms, colors: Colors) -> Figure | None:
    series, rows, rates = [], [], {}
    for stage in study.stages:
        curves = find_curves(arms[stage.name], _PROBE_TAG)
        mean = downsample(mean_curve(curves))
        if mean:
            faint = [downsample(curve) for curve in curves] if len(curves) > 1 else ()
            series.append(Series(label=stage.name, points=mean, seeds=faint, color=colors[stage.name]))
        number, failed = count_probed(arms[stage.name].values())
        last_number, last_failed = count_probed(arms[stage.name].values(), last=_LAST)
        if last_number:
            rates[stage.name] = failed / number
            rows.append([stage.name, f"{number:,.0f}", percent(failed / number), percent(last_failed / last_number)])
    if not series or not rates:
        return None
    worst = max(rates, key=lambda stage: rates[stage])
    title = f"At most {percent(rates[worst])} of probed passes fail on other inputs ({worst})"
    axes = PlotAxes(
        label="Fraction of probed passes that fail on other inputs",
        x_title="step",
        format_y=percent_tick,
        y_min=0.0,
        y_max=0.05,
    )
    columns = ["arm", "probed passes", "of them fail", f"fail in the last {percent(_LAST)} of iterations"]
    note = (
        "Reward-hacking probe: passing completions of RL are graded again on inputs that the reward did not use, "
        "counted over all seeds. Near 0, tests are solved, not exploited. A point of a curve is of the few passes of "
        "one iteration."
    )
    return Figure(title=title, svg=line_plot(series, axes), note=note, numbers=Table(columns=columns, rows=rows))


def count_probed(arms: Iterable[ArmResult], *, last: float = 1.0) -> tuple[float, float]:
    """Count the probed passes, and those that failed on other inputs.

    Args:
        arms: one per seed.
        last: fraction of the iterations that count, from the end.
    """
    number = failed = 0.0
    for arm in arms:
        counts = {point[0]: point[1] for point in arm.curves.get(_NUM_PROBED_TAG, [])}
        probed = [(step, rate) for step, rate in arm.curves.get(_PROBE_TAG, []) if counts.get(step)]
        for step, rate in probed[len(probed) - math.ceil(last * len(probed)) :]:
            number += counts[step]
            failed += counts[step] * rate
    return number, failed
