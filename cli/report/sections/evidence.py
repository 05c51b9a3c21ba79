"""Results of a study by hypothesis and by stage, with intervals and verdicts. Pure.

Arms that are not done are missing, not failed: a hypothesis without them has no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.config.files import flatten
from cli.study.plan import Comparison, Contrast, Gate, StudyConfig
from cli.study.results import ArmResult
from cli.study.verdicts import CrossedMean, Verdict, crossed_mean, decide, holm_confidences, paired_mean_difference
from lightning_modules.evaluation.statistics import Interval

GATED_HYPOTHESIS = "F3"
"""The hypothesis that has no verdict if the gate of the study is not reached."""
EXPLORATORY = 0.95
"""Confidence of all intervals without a verdict."""
MAY_DIFFER = (
    "run_dir",
    "ckpt_path",
    "seed_everything",
    "num_threads",
    "data.init_args.data_dir",
    "data.init_args.seed",
    "model.init_args.seed",
    "model.init_args.init_from",
    "model.init_args.executor_backend",
)
"""Keys of a training that differ between seeds, machines, and runs with and without an interruption."""

Arms = Mapping[str, Mapping[int, ArmResult]]
"""By stage and seed."""


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """A gate, and the measured pass@k; None if it was not measured."""

    gate: Gate
    measured: CrossedMean | None

    @property
    def is_reached(self) -> bool | None:
        """Whether the score is at least the required one; None if it was not measured."""
        return None if self.measured is None else self.measured.mean >= self.gate.min_score


@dataclass(frozen=True, kw_only=True)
class HypothesisResult:
    """A hypothesis and its measurement; fields are None where arms are missing."""

    contrast: Contrast
    seeds: Sequence[int]
    treatment: CrossedMean | None
    control: CrossedMean | None
    difference: CrossedMean | None
    confidence: float
    """Of the interval, by Holm's procedure."""
    gate: GateResult | None
    mixed: Sequence[str] = ()
    """Settings that differ between the seeds of its arms, or of the arms they start from; normally empty."""

    @property
    def interval(self) -> Interval | None:
        return None if self.difference is None else self.difference.interval(self.confidence)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict; None while arms or the gate are not measured."""
        if self.difference is None or self.interval is None:
            return None
        if self.gate is not None and self.gate.is_reached is None:
            return None
        if self.mixed:
            return Verdict.MIXED
        has_signal = self.gate is None or bool(self.gate.is_reached)
        return decide(self.interval, num_seeds=self.difference.num_seeds, has_signal=has_signal)


def group_arms(study: StudyConfig, results: Sequence[ArmResult]) -> Arms:
    """Sort results by the study's stages and seeds; those of other stages and seeds are left out."""
    found: dict[str, dict[int, ArmResult]] = {stage.name: {} for stage in study.stages}
    for result in results:
        if result.stage in found and result.seed in study.seeds:
            found[result.stage][result.seed] = result
    return {stage: dict(sorted(arms.items())) for stage, arms in found.items()}


def stage_mean(arms: Arms, stage: str, *, split: str, metric: str) -> CrossedMean | None:
    """Mean of a stage over its seeds and the tasks of a split; None if nothing was measured."""
    evaluations = [arm.evaluation[split] for arm in arms[stage].values() if split in arm.evaluation]
    return _mean([evaluation.scores_by_metric(metric) for evaluation in evaluations])


def stage_pass_at_k(arms: Arms, stage: str, *, split: str, k: int) -> CrossedMean | None:
    """Mean pass@k of a stage from its samples; None if there are too few."""
    evaluations = [arm.evaluation[split] for arm in arms[stage].values() if split in arm.evaluation]
    return _mean([evaluation.scores(k) for evaluation in evaluations])


def assess_hypotheses(study: StudyConfig, arms: Arms) -> list[HypothesisResult]:
    """Measure every contrast of the study, with Holm's confidences over all of them, measured or not."""
    gate = None
    if study.gate is not None:
        measured = stage_pass_at_k(arms, study.gate.stage, split=study.gate.split, k=study.gate.k)
        gate = GateResult(gate=study.gate, measured=measured)
    sides = [_paired_scores(contrast, arms, metric=contrast.metric) for contrast in study.contrasts]
    differences = [_difference(treatment, control) for _, treatment, control in sides]
    mixed = find_mixed_settings(study, arms)
    confidences = holm_confidences([1.0 if found is None else found.p_value() for found in differences])
    return [
        HypothesisResult(
            contrast=contrast,
            seeds=seeds,
            treatment=None if difference is None else _mean(treatment),
            control=None if difference is None else _mean(control),
            difference=difference,
            confidence=confidence,
            gate=gate if contrast.hypothesis == GATED_HYPOTHESIS else None,
            mixed=list(dict.fromkeys([*mixed.get(contrast.treatment, []), *mixed.get(contrast.control, [])])),
        )
        for contrast, (seeds, treatment, control), difference, confidence in zip(
            study.contrasts, sides, differences, confidences, strict=True
        )
    ]


def exploratory_difference(comparison: Comparison, arms: Arms, *, metric: str) -> CrossedMean | None:
    """Measure a difference without a hypothesis; None if arms are missing."""
    _, treatment, control = _paired_scores(comparison, arms, metric=metric)
    return _difference(treatment, control)


def find_mixed_settings(study: StudyConfig, arms: Arms) -> dict[str, list[str]]:
    """Find stages whose seeds were trained or evaluated with different settings, or start from such a stage.

    A study's file that is edited between two seeds leads to this. The mean over such seeds belongs to no setting.

    Returns:
        The differing settings by stage, those of its own arms first.
    """
    found: dict[str, list[str]] = {}
    for stage in study.in_order():
        own = [f"{stage.name}: {line}" for line in differing_settings(arms[stage.name])]
        lines = [*own, *(found.get(stage.parent, []) if stage.parent is not None else [])]
        if lines:
            found[stage.name] = lines
    return found


def differing_settings(by_seed: Mapping[int, ArmResult]) -> list[str]:
    """Describe what differs between the seeds of a stage: `trainer.max_epochs: 3 (seed 0), 17 (seed 1)`."""
    flat = {seed: _settings(arm) for seed, arm in by_seed.items()}
    lines = []
    for key in sorted(set().union(*flat.values())):
        seeds_by_value: dict[str, list[str]] = {}
        for seed, settings in flat.items():
            seeds_by_value.setdefault(repr(settings.get(key)), []).append(str(seed))
        if len(seeds_by_value) > 1:
            values = (f"{value} (seed {', '.join(seeds)})" for value, seeds in seeds_by_value.items())
            lines.append(f"{key}: {', '.join(values)}")
    return lines


def _settings(arm: ArmResult) -> dict[str, Any]:
    evaluation = {
        split: {key: value for key, value in found.settings.items() if key != "seed"}
        for split, found in arm.evaluation.items()
    }
    flat = flatten({**arm.config, "versions": arm.versions, "evaluation": evaluation})
    return {key: value for key, value in flat.items() if key not in MAY_DIFFER}


def _paired_scores(
    pair: Comparison, arms: Arms, *, metric: str
) -> tuple[list[int], list[dict[str, float]], list[dict[str, float]]]:
    """Return the seeds that both sides have, and the scores of each side by seed."""
    sides = [
        {seed: arm.evaluation[pair.split] for seed, arm in arms[stage].items() if pair.split in arm.evaluation}
        for stage in (pair.treatment, pair.control)
    ]
    seeds = sorted(sides[0].keys() & sides[1].keys())
    treatment, control = (
        [side[seed].select_depth(pair.depth).scores_by_metric(metric) for seed in seeds] for side in sides
    )
    return seeds, treatment, control


def _difference(treatment: Sequence[Mapping[str, float]], control: Sequence[Mapping[str, float]]) -> CrossedMean | None:
    return paired_mean_difference(treatment, control) if _share_tasks([*treatment, *control]) else None


def _mean(scores: Sequence[Mapping[str, float]]) -> CrossedMean | None:
    return crossed_mean(scores) if _share_tasks(scores) else None


def _share_tasks(scores: Sequence[Mapping[str, float]]) -> bool:
    return bool(scores) and bool(set(scores[0]).intersection(*scores[1:]))
