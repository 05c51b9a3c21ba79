"""Which colour a stage has: those that a claim is about get one each, all others share a grey."""

from __future__ import annotations

from collections.abc import Mapping

from cli.study.plan import StudyConfig

NUM_COLOURS = 6
PLAIN = "plain"


def tones_of(study: StudyConfig) -> Mapping[str, str]:
    """Give every stage its CSS class."""
    claimed = [stage for contrast in study.contrasts for stage in (contrast.better, contrast.worse)]
    coloured = list(dict.fromkeys(claimed))[:NUM_COLOURS]
    return {
        stage.name: f"tone{coloured.index(stage.name)}" if stage.name in coloured else PLAIN for stage in study.stages
    }
