"""From a study and its results to the document of the report. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cli.report.arms import functions_figure, groups_section, samples_figure, scores_section
from cli.report.document import Document, Section
from cli.report.evidence import arms_of_study, findings_of
from cli.report.findings import findings_section, summary_of
from cli.report.numbers import minutes
from cli.report.programs import programs_section
from cli.report.provenance import provenance_section
from cli.report.tones import tones_of
from cli.report.training import training_section
from cli.study.plan import StudyConfig
from cli.study.results import ArmResult


def build_document(study: StudyConfig, results: Sequence[ArmResult], *, counts: Mapping[str, int]) -> Document:
    """Put the report together; arms that are missing are said to be, and the rest is shown.

    Args:
        study: what was planned.
        results: finished arms; those of stages the study does not have are left out.
        counts: tasks in each split of the data set; empty where it is not known.
    """
    arms, tones = arms_of_study(study, results), tones_of(study)
    findings = findings_of(study, arms)
    split = study.contrasts[0].split if study.contrasts else next(iter(study.measurement.splits))
    scores = scores_section(study, arms, tones)
    figures = [
        functions_figure(study, arms, tones, split=split, counts=counts),
        samples_figure(study, arms, tones, split=split),
    ]
    scores = Section(
        title=scores.title, anchor=scores.anchor, blocks=[*scores.blocks, *(one for one in figures if one is not None)]
    )
    programs = programs_section(study, arms)
    sections = [
        findings_section(study, findings, tones),
        scores,
        groups_section(study, arms, split=split),
        training_section(study, arms, tones),
        *([programs] if programs is not None else []),
        provenance_section(study, arms),
    ]
    num_done = sum(map(len, arms.values()))
    facts = [
        ("arms done", f"{num_done} of {len(study.stages) * len(study.seeds)}"),
        ("seeds", str(len(study.seeds))),
        ("machine time", minutes(sum(arm.minutes for by_seed in arms.values() for arm in by_seed.values()))),
    ]
    return Document(
        title=f"Study {study.name}",
        summary=summary_of(findings),
        facts=facts,
        sections=[section for section in sections if section.blocks],
    )
