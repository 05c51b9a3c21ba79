"""The section on the hypotheses: a card each, of the same size whatever its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cli.report.document import Card, Figure, Section, Table
from cli.report.figures.plots import DotRow, dot_plot
from cli.report.format import (
    count,
    percent,
    percent_tick,
    percent_with_interval,
    points,
    points_tick,
    points_with_interval,
    probability,
)
from cli.report.sections.evidence import EXPLORATORY, GateResult, HypothesisResult
from cli.study.plan import StudyConfig
from cli.study.verdicts import SMALLEST_EFFECT, Verdict

STYLES = {Verdict.REPRODUCED: "holds", Verdict.NOT_REPRODUCED: "fails", None: "missing"}
"""Of the cards; all other verdicts are open."""
NOT_MEASURED = "not measured yet"
FEW_SEEDS = 5


def hypotheses_section(study: StudyConfig, results: Sequence[HypothesisResult], colors: Mapping[str, str]) -> Section:
    """Return one card for each hypothesis, in the order of the study's file."""
    blocks = [_card(study, result, colors) for result in results]
    return Section(title="Hypotheses", anchor="hypotheses", blocks=blocks)


def summarize(results: Sequence[HypothesisResult]) -> str:
    """Return the verdicts in one sentence."""
    if not results:
        return "The study has no hypotheses; everything below is exploratory."
    return "; ".join(f"{result.contrast.hypothesis} {result.verdict or NOT_MEASURED}" for result in results) + "."


def _card(study: StudyConfig, result: HypothesisResult, colors: Mapping[str, str]) -> Card:
    contrast = result.contrast
    claim = contrast.statement or f"{contrast.treatment} scores higher than {contrast.control}"
    if result.difference is None or result.interval is None:
        return Card(
            name=contrast.hypothesis,
            verdict=NOT_MEASURED,
            style="missing",
            headline=f"{contrast.treatment} and {contrast.control}",
            claim=claim,
            explanation=f"No seed has both {contrast.treatment} and {contrast.control} on {contrast.tasks} yet.",
            blocks=[],
        )
    return Card(
        name=contrast.hypothesis,
        verdict=result.verdict or NOT_MEASURED,
        style=STYLES.get(result.verdict, "open"),
        headline=points_with_interval(result.interval),
        claim=claim,
        explanation=_explain(study, result),
        blocks=[_plot_difference(result), _plot_sides(result, colors), _seeds_table(result)],
    )


def _explain(study: StudyConfig, result: HypothesisResult) -> str:
    interval, difference, contrast = result.interval, result.difference, result.contrast
    assert interval is not None
    assert difference is not None
    words = (
        f"{_explain_verdict(result)} Measured: {contrast.metric} on {contrast.tasks}, {contrast.treatment} minus "
        f"{contrast.control}, paired over {count(difference.num_seeds, 'seed')} and "
        f"{count(difference.num_tasks, 'task')}; interval of {100 * result.confidence:.1f}% after Holm over "
        f"{count(len(study.contrasts), 'hypothesis', 'hypotheses')}, one-sided p {probability(difference.p_value())}."
    )
    if 1 < difference.num_seeds < FEW_SEEDS:
        words += f" The interval is wide because there are only {difference.num_seeds} seeds."
    if missing := [seed for seed in study.seeds if seed not in result.seeds]:
        words += f" Not done yet: seed {', '.join(map(str, missing))}."
    return words


def _explain_verdict(result: HypothesisResult) -> str:
    interval = result.interval
    assert interval is not None
    smallest = f"{100 * SMALLEST_EFFECT:.0f} points"
    if result.verdict is Verdict.MIXED:
        return f"The seeds have different settings, so their mean has no meaning: {'; '.join(result.mixed)}."
    if result.gate is not None and not result.gate.is_reached:
        return _explain_gate(result.gate)
    if result.verdict is Verdict.ONE_SEED:
        return (
            "One seed supports no verdict: the interval covers the choice of tasks alone, and another training may lie "
            "outside of it."
        )
    if result.verdict is Verdict.REPRODUCED:
        small = f" It also lies below {smallest}: the effect is small." if interval.high < SMALLEST_EFFECT else ""
        return f"The whole interval lies above 0.{small}"
    if result.verdict is Verdict.NOT_REPRODUCED:
        negative = f" It even lies below 0: {result.contrast.control} scores higher." if interval.high < 0 else ""
        return f"The whole interval lies below {smallest}: there is no relevant effect.{negative}"
    low, high = points(interval.low), points(interval.high)
    return f"The interval, {low} to {high} points, excludes neither no effect nor one of {smallest}."


def _explain_gate(result: GateResult) -> str:
    gate = result.gate
    score = f"pass@{gate.k} of {gate.stage} on {gate.split}"
    if result.measured is None:
        return f"The gate is not measured: {score} needs {gate.k} graded samples of every task."
    measured = percent_with_interval(result.measured.interval(EXPLORATORY))
    return f"There is no signal: {score} is {measured}, below the required {percent(gate.min_score)}."


def _plot_difference(result: HypothesisResult) -> Figure:
    interval, difference = result.interval, result.difference
    assert interval is not None
    assert difference is not None
    row = DotRow(
        label=f"{result.contrast.treatment} minus {result.contrast.control}",
        interval=interval,
        by_seed=difference.by_seed,
        color="verdict",
        value=points(interval.mean),
    )
    above = sum(value > 0 for value in difference.by_seed)
    label = f"Difference in points with its interval: {points_with_interval(interval)}"
    marks = [(SMALLEST_EFFECT, f"{100 * SMALLEST_EFFECT:.0f} points")]
    return Figure(
        title=f"{above} of {count(difference.num_seeds, 'seed')} above 0",
        svg=dot_plot([row], format_value=points_tick, label=label, marks=marks),
    )


def _plot_sides(result: HypothesisResult, colors: Mapping[str, str]) -> Figure:
    rows = []
    contrast = result.contrast
    for stage, found in ((contrast.treatment, result.treatment), (contrast.control, result.control)):
        assert found is not None
        interval = found.interval(EXPLORATORY)
        value = percent_with_interval(interval)
        rows.append(DotRow(label=stage, interval=interval, by_seed=found.by_seed, color=colors[stage], value=value))
    title = f"{contrast.metric}: " + ", ".join(f"{row.label} {percent(row.interval.mean)}" for row in rows)
    return Figure(title=title, svg=dot_plot(rows, format_value=percent_tick, label=title))


def _seeds_table(result: HypothesisResult) -> Table:
    contrast = result.contrast
    columns = [one.by_seed for one in (result.treatment, result.control, result.difference) if one is not None]
    rows = [
        [str(seed), percent(treatment), percent(control), points(difference)]
        for seed, treatment, control, difference in zip(result.seeds, *columns, strict=True)
    ]
    return Table(columns=["seed", contrast.treatment, contrast.control, "difference"], rows=rows)
