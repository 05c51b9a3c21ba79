"""What the results of a study say: its findings with their verdicts, and the mean of every stage. Pure.

Arms that are not done yet are missing, not failures: a finding whose arms are not there has no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cli.report.settings import mixed_stages
from cli.study.plan import METRICS, Comparison, Contrast, Gate, StudyConfig
from cli.study.results import ArmResult
from cli.study.verdicts import CrossedMean, Verdict, crossed_mean, difference_of, holm_confidences, verdict
from lightning_modules.evaluation.records import Evaluation
from lightning_modules.evaluation.statistics import Interval

GATED_FINDING = "F3"
"""The finding that says nothing where the gate of the study is not reached."""
EXPLORATORY = 0.95
"""Confidence of all intervals that carry no verdict."""

Arms = Mapping[str, Mapping[int, ArmResult]]
"""By stage and seed."""


@dataclass(frozen=True, kw_only=True)
class GateReading:
    """A gate, and the pass@k that was measured; None where it was not."""

    gate: Gate
    measured: CrossedMean | None

    @property
    def is_reached(self) -> bool | None:
        """Whether there is a signal to decide by; None where it was not measured."""
        return None if self.measured is None else self.measured.mean >= self.gate.least


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim with what was measured of it; what is None was not measured yet."""

    contrast: Contrast
    seeds: Sequence[int]
    better: CrossedMean | None
    worse: CrossedMean | None
    difference: CrossedMean | None
    confidence: float
    """Of the interval, after Holm."""
    gate: GateReading | None
    mixed: Sequence[str] = ()
    """What the seeds of its arms, or of those they start from, differ in beside the seed; empty as it should be."""

    @property
    def interval(self) -> Interval | None:
        return None if self.difference is None else self.difference.interval(self.confidence)

    @property
    def verdict(self) -> Verdict | None:
        """What can be said; None as long as arms or the gate are not measured."""
        if self.difference is None or self.interval is None:
            return None
        if self.gate is not None and self.gate.is_reached is None:
            return None
        if self.mixed:
            return Verdict.MIXED
        has_signal = self.gate is None or bool(self.gate.is_reached)
        return verdict(self.interval, num_seeds=self.difference.num_seeds, has_signal=has_signal)


def arms_of_study(study: StudyConfig, results: Sequence[ArmResult]) -> Arms:
    """Order results by the study's stages and seeds; those of other stages and seeds are left out."""
    found: dict[str, dict[int, ArmResult]] = {stage.name: {} for stage in study.stages}
    for result in results:
        if result.stage in found and result.seed in study.seeds:
            found[result.stage][result.seed] = result
    return {stage: dict(sorted(arms.items())) for stage, arms in found.items()}


def scores_of(evaluation: Evaluation, metric: str) -> dict[str, float]:
    """Score each task by a metric of `plan.METRICS`; tasks that were not judged are left out."""
    assert metric in METRICS
    return evaluation.greedy_scores() if metric == METRICS[0] else evaluation.scores(1)


def stage_mean(arms: Arms, stage: str, *, split: str, metric: str) -> CrossedMean | None:
    """Mean of a stage over its seeds and the tasks of a split; None where nothing was measured."""
    evaluations = [arm.evaluation[split] for arm in arms[stage].values() if split in arm.evaluation]
    return _mean([scores_of(evaluation, metric) for evaluation in evaluations])


def pass_at(arms: Arms, stage: str, *, split: str, k: int) -> CrossedMean | None:
    """Mean pass@k of a stage from its samples; None where too few were taken."""
    evaluations = [arm.evaluation[split] for arm in arms[stage].values() if split in arm.evaluation]
    return _mean([evaluation.scores(k) for evaluation in evaluations])


def findings_of(study: StudyConfig, arms: Arms) -> list[Finding]:
    """Measure every contrast of the study, with Holm's confidences over all of them, measured or not."""
    gate = None
    if study.gate is not None:
        measured = pass_at(arms, study.gate.stage, split=study.gate.split, k=study.gate.k)
        gate = GateReading(gate=study.gate, measured=measured)
    sides = [_sides(contrast, arms, metric=contrast.metric) for contrast in study.contrasts]
    differences = [
        difference_of(better, worse) if _can_be_compared(better, worse) else None for _, better, worse in sides
    ]
    mixed = mixed_stages(study, arms)
    confidences = holm_confidences([1.0 if found is None else found.p_value() for found in differences])
    return [
        Finding(
            contrast=contrast,
            seeds=seeds,
            better=None if difference is None else _mean(better),
            worse=None if difference is None else _mean(worse),
            difference=difference,
            confidence=confidence,
            gate=gate if contrast.finding == GATED_FINDING else None,
            mixed=list(dict.fromkeys([*mixed.get(contrast.better, []), *mixed.get(contrast.worse, [])])),
        )
        for contrast, (seeds, better, worse), difference, confidence in zip(
            study.contrasts, sides, differences, confidences, strict=True
        )
    ]


def explored_difference(comparison: Comparison, arms: Arms, *, metric: str) -> CrossedMean | None:
    """Measure a difference that was not claimed; None where it cannot be."""
    _, better, worse = _sides(comparison, arms, metric=metric)
    return difference_of(better, worse) if _can_be_compared(better, worse) else None


def _sides(
    pair: Contrast | Comparison, arms: Arms, *, metric: str
) -> tuple[list[int], list[dict[str, float]], list[dict[str, float]]]:
    """Return the seeds of both sides, and the scores of each side, seed by seed."""
    sides = [
        {seed: arm.evaluation[pair.split] for seed, arm in arms[stage].items() if pair.split in arm.evaluation}
        for stage in (pair.better, pair.worse)
    ]
    seeds = sorted(sides[0].keys() & sides[1].keys())
    better, worse = ([scores_of(side[seed], metric) for seed in seeds] for side in sides)
    return seeds, better, worse


def _can_be_compared(better: Sequence[Mapping[str, float]], worse: Sequence[Mapping[str, float]]) -> bool:
    everything = [*better, *worse]
    return bool(everything) and bool(set(everything[0]).intersection(*everything[1:]))


def _mean(scores: Sequence[Mapping[str, float]]) -> CrossedMean | None:
    return crossed_mean(scores) if _can_be_compared(scores, ()) else None
