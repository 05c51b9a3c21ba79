"""The section on the findings: a card each, of the same size whatever its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cli.report.document import Card, Figure, Section, Table
from cli.report.dots import DotRow, dot_rows
from cli.report.evidence import EXPLORATORY, Finding, GateReading
from cli.report.numbers import MINUS, percent, percent_with, points, points_with, probability
from cli.study.plan import StudyConfig
from cli.study.verdicts import SMALLEST_EFFECT, Verdict

TONES = {
    Verdict.REPRODUCED: "holds",
    Verdict.NOT_REPRODUCED: "fails",
    Verdict.UNDECIDED: "open",
    Verdict.NO_SIGNAL: "open",
    Verdict.ONE_SEED: "open",
    Verdict.MIXED: "open",
    None: "missing",
}
NOT_MEASURED = "not measured yet"
FEW_SEEDS = 5


def findings_section(study: StudyConfig, findings: Sequence[Finding], tones: Mapping[str, str]) -> Section:
    """Put all findings into cards, in the order of the study's file."""
    return Section(title="Findings", anchor="findings", blocks=[_card(study, finding, tones) for finding in findings])


def summary_of(findings: Sequence[Finding]) -> str:
    """Say the verdicts in one sentence."""
    if not findings:
        return "The study claims nothing; what follows is exploratory."
    said = [f"{finding.contrast.finding} {finding.verdict or NOT_MEASURED}" for finding in findings]
    return "; ".join(said) + "."


def _card(study: StudyConfig, finding: Finding, tones: Mapping[str, str]) -> Card:
    contrast = finding.contrast
    claim = contrast.statement or f"{contrast.better} does better than {contrast.worse}"
    if finding.difference is None or finding.interval is None:
        return Card(
            name=contrast.finding,
            verdict=NOT_MEASURED,
            tone="missing",
            headline=f"{contrast.better} over {contrast.worse}",
            claim=claim,
            reading=f"No seed has both {contrast.better} and {contrast.worse} on {contrast.split} yet.",
            blocks=[],
        )
    return Card(
        name=contrast.finding,
        verdict=finding.verdict or NOT_MEASURED,
        tone=TONES[finding.verdict],
        headline=points_with(finding.interval),
        claim=claim,
        reading=_reading(study, finding),
        blocks=[_difference(finding), _sides(finding, tones), _seeds(finding)],
    )


def _reading(study: StudyConfig, finding: Finding) -> str:
    interval, difference, contrast = finding.interval, finding.difference, finding.contrast
    assert interval is not None
    assert difference is not None
    low, high = points(interval.low), points(interval.high)
    smallest = f"{100 * SMALLEST_EFFECT:.0f} points"
    if finding.verdict is Verdict.MIXED:
        words = f"Seeds were not made alike, so their mean is that of no setting: {'; '.join(finding.mixed)}."
    elif finding.gate is not None and not finding.gate.is_reached:
        words = _gate(finding.gate)
    elif finding.verdict is Verdict.ONE_SEED:
        words = "One seed decides nothing, wherever its interval lies: it is of the choice of tasks alone, and another "
        words += "training may land outside it."
    elif finding.verdict is Verdict.REPRODUCED:
        words = "The whole interval lies above 0."
        if interval.high < SMALLEST_EFFECT:
            words += f" It also lies below {smallest}: the effect is there, and small."
    elif finding.verdict is Verdict.NOT_REPRODUCED:
        words = f"The whole interval lies below {smallest}: an effect worth the name is not there."
        if interval.high < 0:
            words += f" It even lies below 0: {contrast.worse} does better."
    else:
        words = f"Anything from {low} to {high} points fits: neither no effect nor one of {smallest} can be excluded."
    words += (
        f" Measured: {contrast.metric} on {contrast.split}, {contrast.better} less {contrast.worse}, paired over "
        f"{_count(difference.num_seeds, 'seed')} and {_count(difference.num_tasks, 'task')}; interval of "
        f"{100 * finding.confidence:.1f}% after Holm over {_count(len(study.contrasts), 'finding')}, one-sided p "
        f"{probability(difference.p_value())}."
    )
    if 1 < difference.num_seeds < FEW_SEEDS:
        words += f" {difference.num_seeds} seeds are few: the interval is wide because of it."
    if missing := [seed for seed in study.seeds if seed not in finding.seeds]:
        words += f" Not done yet: seed {', '.join(map(str, missing))}."
    return words


def _gate(gate: GateReading) -> str:
    asked = f"pass@{gate.gate.k} of {gate.gate.stage} on {gate.gate.split}"
    if gate.measured is None:
        return f"The gate is not measured: {asked} needs {gate.gate.k} judged samples of every task."
    return (
        f"There is no signal to decide by: {asked} is {percent_with(gate.measured.interval(EXPLORATORY))}, below the "
        f"{percent(gate.gate.least)} that was asked for before the run."
    )


def _difference(finding: Finding) -> Figure:
    interval, difference = finding.interval, finding.difference
    assert interval is not None
    assert difference is not None
    row = DotRow(
        label=f"{finding.contrast.better} less {finding.contrast.worse}",
        interval=interval,
        by_seed=difference.by_seed,
        tone=f"verdict {TONES[finding.verdict]}",
        words=points(interval.mean),
    )
    above = sum(value > 0 for value in difference.by_seed)
    label = f"Difference in points with its interval: {points_with(interval)}"
    mark = [(SMALLEST_EFFECT, f"{100 * SMALLEST_EFFECT:.0f} points")]
    return Figure(
        title=f"{above} of {_count(difference.num_seeds, 'seed')} above 0",
        svg=dot_rows([row], write=_points_tick, label=label, marked=mark),
    )


def _sides(finding: Finding, tones: Mapping[str, str]) -> Figure:
    rows = []
    for stage, found in ((finding.contrast.better, finding.better), (finding.contrast.worse, finding.worse)):
        assert found is not None
        interval = found.interval(EXPLORATORY)
        words = percent_with(interval)
        rows.append(DotRow(label=stage, interval=interval, by_seed=found.by_seed, tone=tones[stage], words=words))
    title = f"{finding.contrast.metric}: {rows[0].label} {percent(rows[0].interval.mean)}, "
    title += f"{rows[1].label} {percent(rows[1].interval.mean)}"
    return Figure(title=title, svg=dot_rows(rows, write=percent_tick, label=title))


def _seeds(finding: Finding) -> Table:
    contrast, found = finding.contrast, (finding.better, finding.worse, finding.difference)
    assert None not in found
    columns = [one.by_seed for one in found if one is not None]
    rows = [
        [str(seed), percent(better), percent(worse), points(difference)]
        for seed, better, worse, difference in zip(finding.seeds, *columns, strict=True)
    ]
    return Table(columns=["seed", contrast.better, contrast.worse, "difference"], rows=rows)


def percent_tick(share: float) -> str:
    """Write a share on an axis."""
    return f"{100 * share:g}%"


def _points_tick(difference: float) -> str:
    return f"{100 * difference:+g}".replace("-", MINUS) if difference else "0"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
