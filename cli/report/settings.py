"""Whether the seeds of a stage are of one setting: trained, asked and packaged alike. Pure.

A file edited between two seeds leaves arms of both kinds behind. Their mean is that of no setting, so a finding that
rests on them has no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.config.files import flatten
from cli.study.plan import StudyConfig
from cli.study.results import ArmResult

MAY_DIFFER = (
    "run_dir",
    "seed_everything",
    "num_threads",
    "data.init_args.data_dir",
    "data.init_args.seed",
    "model.init_args.seed",
    "model.init_args.init_from",
    "model.init_args.executor_backend",
)
"""Keys of a training that seeds and machines have each of their own."""


def differences(by_seed: Mapping[int, ArmResult]) -> list[str]:
    """Say what the seeds of one stage differ in, a line each: `trainer.max_epochs: 3 (seed 0), 17 (seed 1)`."""
    flat = {seed: _settings(arm) for seed, arm in by_seed.items()}
    lines = []
    for key in sorted(set().union(*flat.values())):
        seeds_by_value: dict[str, list[str]] = {}
        for seed, settings in flat.items():
            seeds_by_value.setdefault(repr(settings.get(key)), []).append(str(seed))
        if len(seeds_by_value) > 1:
            said = (f"{value} (seed {', '.join(seeds)})" for value, seeds in seeds_by_value.items())
            lines.append(f"{key}: {', '.join(said)}")
    return lines


def mixed_stages(study: StudyConfig, arms: Mapping[str, Mapping[int, ArmResult]]) -> dict[str, list[str]]:
    """Name the stages whose seeds differ in what they were trained and asked with, or start from such a stage.

    Returns:
        By stage, what differs; of its own arms first.
    """
    found: dict[str, list[str]] = {}
    for stage in study.in_order():
        own = [f"{stage.name}: {line}" for line in differences(arms[stage.name])]
        lines = [*own, *(found.get(stage.parent, []) if stage.parent is not None else [])]
        if lines:
            found[stage.name] = lines
    return found


def _settings(arm: ArmResult) -> dict[str, Any]:
    asked = {
        split: {key: value for key, value in found.settings.items() if key != "seed"}
        for split, found in arm.evaluation.items()
    }
    every = flatten({**arm.config, "versions": arm.versions, "evaluation": asked})
    return {key: value for key, value in every.items() if key not in MAY_DIFFER}
