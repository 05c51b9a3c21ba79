"""The stored studies: their pages quote the numbers of their archives, and a report has those of version 0.1."""

import functools
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
RESULTS = ROOT / "docs" / "results"
EXPECTED = json.loads((Path(__file__).parent / "tiny_report.json").read_text(encoding="utf-8"))
"""Verdicts and table rows of the report that version 0.1 wrote."""
PAGES = {
    "README, tiny": (ROOT / "README.md", "tiny", ["F1", "F2", "F3"]),
    "tiny": (RESULTS / "tiny" / "README.md", "tiny", ["F1", "F2", "F3"]),
    "README, compose": (ROOT / "README.md", "compose", ["C1"]),
    "compose": (RESULTS / "compose" / "README.md", "compose", ["C1"]),
}
"""Page, study, and the hypotheses whose rows the page has."""


@functools.cache
def results_of(study: str) -> list[ArmResult]:
    return load_results(RESULTS / study)


@functools.cache
def assess(study: str) -> list[HypothesisResult]:
    config = load_study(str(RESULTS / study / "study.yaml"))
    return assess_hypotheses(config, group_arms(config, results_of(study)))


@pytest.mark.parametrize(("page", "study", "names"), PAGES.values(), ids=PAGES)
def test_the_pages_quote_the_numbers_of_the_archive(page: Path, study: str, names: list[str]) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    rows = [next(line for line in lines if line.startswith(f"| {name}: ")) for name in names]
    for row, result in zip(rows, assess(study), strict=True):
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


def solved(stage: str, split: str, depth: int, *, greedy: bool) -> list[float]:
    """Return the fraction of solved tasks of a depth for each seed of `compose`, or of passing samples."""
    fractions = []
    for arm in sorted((arm for arm in results_of("compose") if arm.stage == stage), key=lambda arm: arm.seed):
        tasks = [task for task in arm.evaluation[split].tasks if task.depth == depth]
        passed = [[task.greedy] if greedy else task.samples for task in tasks]
        fractions.append(sum(one.status == "passed" for some in passed for one in some if one) / sum(map(len, passed)))
    return fractions


TASKS_BY_ROW = {
    "depth 2": ("synthetic_test", 2),
    "depth 3": ("synthetic_test", 3),
    "depth 4": ("synthetic_test_deeper", 4),
    "depth 5": ("synthetic_test_deeper", 5),
    "unseen atoms, depth 2": ("synthetic_test_held_out_atoms", 2),
    "unseen atoms, depth 3": ("synthetic_test_held_out_atoms", 3),
}


def test_tables_of_composition_are_those_of_the_archive() -> None:
    page = (RESULTS / "compose" / "README.md").read_text(encoding="utf-8").replace("**", "")
    rows = {cells[0]: cells[1:] for line in page.splitlines() if (cells := line.strip("| ").split(" | "))[1:]}
    for name, (split, depth) in TASKS_BY_ROW.items():
        columns = [solved(stage, split, depth, greedy=greedy) for greedy in (True, False) for stage in ("sft", "rl")]
        assert rows[name][1:] == [f"{sum(column) / 5:.3f}" for column in columns], name
    for seed in range(5):
        columns = [solved(stage, "synthetic_test", 3, greedy=True)[seed] for stage in ("sft", "rl")]
        assert rows[f"seed {seed}"] == [f"{score:.3f}" for score in columns]


@pytest.mark.slow
def test_the_report_has_the_numbers_and_verdicts_of_version_0_1() -> None:
    document = build_document(
        load_study(str(RESULTS / "tiny" / "study.yaml")),
        results_of("tiny"),
        counts=json.loads((RESULTS / "tiny" / "manifest.json").read_text())["counts"],
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
