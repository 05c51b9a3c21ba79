"""Build the report of a study from its results, and write it as HTML, Markdown, and runs for TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.report.document import Document, Section, render_html, render_markdown
from cli.report.figures.plots import choose_colors
from cli.report.format import minutes
from cli.report.sections.evidence import assess_hypotheses, group_arms
from cli.report.sections.hypotheses import hypotheses_section, summarize
from cli.report.sections.programs import programs_section
from cli.report.sections.provenance import provenance_section
from cli.report.sections.scores import functions_figure, groups_section, samples_figure, scores_section
from cli.report.sections.training import training_section
from cli.report.tensorboard import FOLDER, check_replaceable, write_arms
from cli.study.plan import StudyConfig
from cli.study.results import ArmResult, load_results
from executor.commands.errors import UsageError
from executor.commands.io import open_atomic

MANIFEST = "manifest.json"


def write_report(study: StudyConfig, directory: Path, page: Path) -> Document:
    """Write the report: the page, a Markdown file with the same name, and a folder for TensorBoard.

    Args:
        study: the settings.
        directory: of the results, and of the data set's manifest.
        page: the HTML file.

    Raises:
        UsageError: no arm is done, or other files would be replaced.
    """
    check_replaceable(page.parent / FOLDER)
    results = load_results(directory)
    document = build_document(study, results, counts=_read_counts(directory))
    page.parent.mkdir(parents=True, exist_ok=True)
    for path, content in ((page, render_html(document)), (page.with_suffix(".md"), render_markdown(document))):
        with open_atomic(path) as file:
            file.write(content)
    write_arms(page.parent / FOLDER, results)
    return document


def build_document(study: StudyConfig, results: Sequence[ArmResult], *, counts: Mapping[str, int]) -> Document:
    """Build the report of the arms that are done.

    Args:
        study: the settings.
        results: finished arms; those of other stages are left out.
        counts: tasks in each split of the data set; empty if unknown.
    """
    arms, colors = group_arms(study, results), choose_colors(study)
    hypotheses = assess_hypotheses(study, arms)
    split = study.contrasts[0].split if study.contrasts else list(study.measurement.splits)[-1]
    scores = scores_section(study, arms, colors)
    figures = [
        functions_figure(study, arms, colors, split=split, counts=counts),
        samples_figure(study, arms, colors, split=split),
    ]
    blocks = [*scores.blocks, *(figure for figure in figures if figure is not None)]
    sections = [
        hypotheses_section(study, hypotheses, colors),
        Section(title=scores.title, anchor=scores.anchor, blocks=blocks),
        groups_section(study, arms, split=split),
        training_section(study, arms, colors),
        programs_section(study, arms),
        provenance_section(study, arms),
    ]
    done = [arm for by_seed in arms.values() for arm in by_seed.values()]
    facts = [
        ("arms done", f"{len(done)} of {len(study.stages) * len(study.seeds)}"),
        ("seeds", str(len(study.seeds))),
        ("machine time", minutes(sum(arm.minutes for arm in done))),
    ]
    return Document(
        title=f"Study {study.name}",
        summary=summarize(hypotheses),
        facts=facts,
        sections=[section for section in sections if section is not None and section.blocks],
    )


def find_manifest(directory: Path) -> Path | None:
    """Find the manifest of the study's data set; None if the data set is gone."""
    paths = (directory / "data" / MANIFEST, directory / MANIFEST)
    return next((path for path in paths if path.exists()), None)


def _read_counts(directory: Path) -> dict[str, int]:
    path = find_manifest(directory)
    try:
        return {} if path is None else json.loads(path.read_text(encoding="utf-8"))["counts"]
    except (ValueError, KeyError) as error:
        raise UsageError(f"{path} is not the manifest of a data set") from error
