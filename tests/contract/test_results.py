"""The stored study: its pages quote the numbers of its archive, and its report has those of version 0.1."""

import json
import re
from pathlib import Path

import pytest

from cli.report.build import build_document
from cli.report.document import render_markdown
from cli.report.sections.evidence import HypothesisResult, assess_hypotheses, group_arms
from cli.study.load import load_study
from cli.study.results import ArmResult, load_results

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "docs" / "results" / "tiny"
EXPECTED = json.loads((Path(__file__).parent / "tiny_report.json").read_text(encoding="utf-8"))
"""Verdicts and table rows of the report that version 0.1 wrote."""


@pytest.fixture(scope="module")
def results() -> list[ArmResult]:
    return load_results(STORED)


@pytest.fixture(scope="module")
def hypotheses(results: list[ArmResult]) -> list[HypothesisResult]:
    study = load_study(str(STORED / "study.yaml"))
    return assess_hypotheses(study, group_arms(study, results))


@pytest.mark.parametrize("page", [ROOT / "README.md", STORED / "README.md"], ids=["README", "results"])
def test_the_pages_quote_the_numbers_of_the_archive(page: Path, hypotheses: list[HypothesisResult]) -> None:
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| F")][:3]
    for row, result in zip(rows, hypotheses, strict=True):
        assert result.interval is not None
        assert result.treatment is not None
        assert result.control is not None
        mean, low, high = (100 * value for value in result.interval)
        assert row.startswith(f"| {result.contrast.hypothesis}: ")
        assert f"{mean:+.1f}" in row
        assert f"({low:.1f} to {high:.1f})" in row
        assert f"{100 * result.treatment.mean:.1f} %" in row
        assert f"{100 * result.control.mean:.1f} %" in row
        assert row.rstrip("|* ").endswith(str(result.verdict))
        assert len(result.seeds) == 5


@pytest.mark.slow
def test_the_report_has_the_numbers_and_verdicts_of_version_0_1(results: list[ArmResult]) -> None:
    document = build_document(
        load_study(str(STORED / "study.yaml")),
        results,
        counts=json.loads((STORED / "manifest.json").read_text())["counts"],
    )
    text = re.sub(r"<details>.*?</details>|```.*?```", "", render_markdown(document), flags=re.S)
    lines = text.splitlines()
    cards = [re.match(r"### (\w+), ([a-z ]+): .*: ([^:]*)$", line) for line in lines]
    assert [list(card.groups()) for card in cards if card] == EXPECTED["verdicts"]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("|") and not line.startswith("|-")]
    for found, expected in zip(rows, EXPECTED["rows"], strict=True):
        cells = iter(cell.strip() for cell in found)
        missing = [cell for cell in expected if _has_number(cell) and cell not in cells]
        assert not missing, f"{missing} of {expected} are not in {found}"


def _has_number(cell: str) -> bool:
    """Whether a cell holds a number, and not the title of a column or a label, whose wording may change."""
    return bool(re.match(r"[+\N{MINUS SIGN}]?\d", cell))
