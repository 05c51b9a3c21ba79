"""The section on training: scores, loss and reward over time, over-fitting, failures, exploited tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from cli.report.arms import Tones
from cli.report.curves import curves_of, mean_curve, thinned
from cli.report.document import Block, Figure, Gallery, Section, Table
from cli.report.evidence import Arms
from cli.report.findings import percent_tick
from cli.report.lines import Axes, Series, line_plot
from cli.report.numbers import percent, points, short
from cli.report.overfitting import (
    HELD_OUT_TAG,
    LEAST_TRAIN,
    LEVELS,
    carried_over,
    is_greedy,
    mean_gap,
    training_path,
)
from cli.report.stacks import Layer, stacked_shares
from cli.study.plan import StudyConfig
from cli.study.results import ArmResult
from executor.types import Status

_PANEL = 300.0
_REWARD_TAG, _RETEST_TAG, _NUM_RETESTED_TAG = "reward/mean", "reward/probe_fail_rate", "reward/num_probed"
_LAST = 0.25
"""Share of the iterations that count as the end of a run."""
_FAILURES = (
    ("wrong", ("wrong",), "fail0"),
    ("exception", ("exception",), "fail1"),
    ("does not load", ("load_error", "source_too_long"), "fail2"),
    ("timeout", ("timeout",), "fail3"),
    ("other", ("memory", "output_limit", "crash"), "fail4"),
)


def training_section(study: StudyConfig, arms: Arms, tones: Tones) -> Section:
    """Everything that curves show; what no arm has is left out."""
    blocks: list[Block | None] = [
        _curves(study, arms, tones, HELD_OUT_TAG, what="Pass@1 on synthetic_val", write=percent, low=0.0),
        _curves(study, arms, tones, _REWARD_TAG, what="Reward", write=short, low=0.0),
        _curves(study, arms, tones, "loss/train", what="Loss, nats a token,", write=short, low=0.0),
        _failures(study, arms),
        _train_against_held_out(study, arms, tones),
        _exploited(study, arms, tones),
    ]
    return Section(title="While training", anchor="training", blocks=[block for block in blocks if block is not None])


def _curves(
    study: StudyConfig, arms: Arms, tones: Tones, tag: str, *, what: str, write: Callable[[float], str], low: float
) -> Gallery | None:
    found = {}
    for stage in study.stages:
        curves = curves_of(arms[stage.name], tag)
        if mean := mean_curve(curves):
            found[stage.name] = (thinned(mean), [thinned(curve) for curve in curves])
    if not found:
        return None
    highest = max(value for mean, curves in found.values() for curve in (mean, *curves) for _, value in curve)
    panels, rows = [], []
    for stage, (mean, curves) in found.items():
        first, last = mean[0][1], mean[-1][1]
        seen = f"{stage}: {write(first)} to {write(last)}"
        axes = Axes(
            label=f"{what} over training, {seen}",
            x_title="step",
            write_y=percent_tick if write is percent else short,
            y_from=low,
            y_to=highest,
        )
        one = Series(label="", points=mean, seeds=curves if len(curves) > 1 else (), tone=tones[stage])
        panels.append((seen, line_plot([one], axes, width=_PANEL, height=170)))
        rows.append([stage, write(first), write(last), write(max(value for _, value in mean)), str(len(curves))])
    table = Table(columns=["arm", "first", "last", "highest", "seeds"], rows=rows)
    note = "Mean over seeds; faint: each seed. All panels have the same height."
    return Gallery(title=f"{what} while training", panels=panels, note=note, numbers=table)


def _train_against_held_out(study: StudyConfig, arms: Arms, tones: Tones) -> Figure | None:
    series, rows = [], []
    for stage in study.stages:
        paths = [path for arm in arms[stage.name].values() if (path := training_path(arm))]
        if not paths:
            continue
        walked = [[(one.train, one.held_out) for one in path] for path in paths]
        step = mean_path(walked)
        series.append(Series(label=stage.name, points=step, seeds=walked, tone=tones[stage.name]))
        train, held_out = step[-1]
        row = [stage.name, percent(train), percent(held_out)]
        if any(is_greedy(arm) for arm in arms[stage.name].values()):
            kept = carried_over(train, held_out)
            gaps = [mean_gap(level, paths) for level in LEVELS]
            row += ["" if kept is None else f"{kept:.2f}", *("" if gap is None else points(gap) for gap in gaps)]
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
        "Training tasks: greedy answers, or the sampled ones that RL was rewarded for; held-out tasks: greedy answers "
        "to synthetic_val. On the dashed line both are the same. The ratio is left out where training tasks stay below "
        f"{percent(LEAST_TRAIN)}. A gap is training less held-out tasks where training tasks first reach the score "
        "above it, and is left out where a seed never came to it or began above it. Neither compares sampled with "
        "greedy answers."
    )
    axes = Axes(
        label="Pass@1 on held-out tasks against pass@1 on training tasks",
        x_title="pass@1 on training tasks",
        write_x=percent_tick,
        write_y=percent_tick,
        y_from=0.0,
        diagonal=True,
    )
    return Figure(title=title, svg=line_plot(series, axes, height=300), note=note, numbers=table)


def mean_path(paths: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Average paths reading by reading, as far as the shortest goes."""
    return [
        (sum(x for x, _ in readings) / len(readings), sum(y for _, y in readings) / len(readings))
        for readings in zip(*paths, strict=False)
    ]


def _failures(study: StudyConfig, arms: Arms) -> Gallery | None:
    panels = []
    for stage in study.stages:
        prefix = "status/rollout/" if stage.kind == "rl" else "status/synthetic_val/"
        by_status = {
            status.value: dict(mean_curve(curves_of(arms[stage.name], f"{prefix}{status.value}"))) for status in Status
        }
        steps = sorted(by_status["wrong"])
        if not steps:
            continue
        infra = [by_status["infra"].get(step, 0.0) for step in steps]
        shares = {
            label: [sum(by_status[name].get(step, 0.0) for name in names) for step in steps]
            for label, names, _ in _FAILURES
        }
        failed = [sum(values) for values in zip(*shares.values(), strict=True)]
        judged = [max(1.0 - fault, 1e-9) for fault in infra]
        layers = [
            Layer(
                label="passed",
                shares=_thin(steps, [max(1 - f / j, 0.0) for f, j in zip(failed, judged, strict=True)]),
                tone="fail-none",
            )
        ]
        layers += [
            Layer(
                label=label, shares=_thin(steps, [s / j for s, j in zip(shares[label], judged, strict=True)]), tone=tone
            )
            for label, _, tone in _FAILURES
        ]
        kept = [step for step, _ in thinned([(step, 0.0) for step in steps])]
        worst = max(layers[1:], key=lambda layer: layer.shares[-1])
        seen = f"{stage.name}: {100 * layers[0].shares[-1]:.0f}% pass, most others: {worst.label}"
        panels.append((seen, stacked_shares(kept, layers, label=f"Endings of completions, {seen}")))
    if not panels:
        return None
    note = (
        "Share of judged completions by ending, mean over seeds: of RL the sampled rollouts, of SFT the greedy answers "
        "to synthetic_val. Faults of the sandbox are no ending."
    )
    return Gallery(title="How completions end", panels=panels, note=note)


def _thin(steps: Sequence[float], values: Sequence[float]) -> list[float]:
    return [value for _, value in thinned(list(zip(steps, values, strict=True)))]


def _exploited(study: StudyConfig, arms: Arms, tones: Tones) -> Figure | None:
    series, rows, shares = [], [], {}
    for stage in study.stages:
        curves = curves_of(arms[stage.name], _RETEST_TAG)
        mean = thinned(mean_curve(curves))
        if mean:
            faint = [thinned(curve) for curve in curves] if len(curves) > 1 else ()
            series.append(Series(label=stage.name, points=mean, seeds=faint, tone=tones[stage.name]))
        number, failed = retested(arms[stage.name].values())
        last_number, last_failed = retested(arms[stage.name].values(), last=_LAST)
        if last_number:
            shares[stage.name] = failed / number
            rows.append([stage.name, f"{number:,.0f}", percent(failed / number), percent(last_failed / last_number)])
    if not series or not shares:
        return None
    worst = max(shares, key=lambda stage: shares[stage])
    title = f"Of the passes that were run again at most {percent(shares[worst])} fail on other inputs ({worst})"
    axes = Axes(
        label="Share of passes that fail on other inputs",
        x_title="step",
        write_y=percent_tick,
        y_from=0.0,
        y_to=0.05,
    )
    columns = ["arm", "passes run again", "of them fail", f"of those in the last {percent(_LAST)} of iterations"]
    note = (
        "Hacking meter: passes of RL that were run again on inputs the reward did not use, counted over all seeds. "
        "Near 0 tests are solved, not exploited. A point of a curve is of the few passes of one iteration."
    )
    return Figure(title=title, svg=line_plot(series, axes), note=note, numbers=Table(columns=columns, rows=rows))


def retested(arms: Iterable[ArmResult], *, last: float = 1.0) -> tuple[float, float]:
    """Count the passes that were run again, and those that failed then.

    Args:
        arms: one a seed.
        last: share of the iterations that count, from the end.
    """
    number = failed = 0.0
    for arm in arms:
        counts = {point[0]: point[1] for point in arm.curves.get(_NUM_RETESTED_TAG, [])}
        again = [(step, share) for step, share in arm.curves.get(_RETEST_TAG, []) if counts.get(step)]
        for step, share in again[len(again) - math.ceil(last * len(again)) :]:
            number += counts[step]
            failed += counts[step] * share
    return number, failed
