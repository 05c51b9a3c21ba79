"""What the pages say of the study's claims is what the kept answers give."""

from pathlib import Path

import pytest

from cli.report.evidence import Finding, arms_of_study, findings_of
from cli.study.plan import load_study
from cli.study.results import load_results

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "results" / "tiny"


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    study = load_study(str(KEPT / "study.yaml"))
    return findings_of(study, arms_of_study(study, load_results(KEPT)))


@pytest.mark.parametrize("page", [ROOT / "README.md", KEPT / "README.md"], ids=["README", "results"])
def test_the_claims_of_the_pages_are_those_of_the_archive(page: Path, findings: list[Finding]) -> None:
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| F")][:3]
    for row, finding in zip(rows, findings, strict=True):
        assert finding.interval is not None
        assert finding.better is not None
        assert finding.worse is not None
        mean, low, high = (100 * value for value in finding.interval)
        assert row.startswith(f"| {finding.contrast.finding}: ")
        assert f"{mean:+.1f}" in row
        assert f"({low:.1f} to {high:.1f})" in row
        assert f"{100 * finding.better.mean:.1f} %" in row
        assert f"{100 * finding.worse.mean:.1f} %" in row
        assert row.rstrip("|* ").endswith(str(finding.verdict))
        assert len(finding.seeds) == 5
