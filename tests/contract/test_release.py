"""The release workflow and its check: what they name exists, and a wrong version or tag is an error."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
FILES = ("pyproject.toml", "executor/pyproject.toml", "CHANGELOG.md", ".ci/release-check")


def test_workflow_names_what_exists() -> None:
    text = WORKFLOW.read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    needed = {name for job in jobs.values() for name in re.findall(r"[\w-]+", str(job.get("needs", "")))}
    assert needed <= set(jobs)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= targets
    stages = re.findall(r"--target (\w+)", text)
    dockerfile = (ROOT / "deploy" / "service.Dockerfile").read_text(encoding="utf-8")
    assert stages
    assert set(stages) <= set(re.findall(r"AS (\w+)$", dockerfile, re.M))
    assert 'requires-python = ">=3.11,<3.15"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert jobs["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]


@pytest.mark.parametrize(
    ("file", "old", "new", "tag", "message"),
    [
        ("executor/pyproject.toml", '"1.2.3"', '"1.2.4"', "", "executor/pyproject.toml has version 1.2.4"),
        ("pyproject.toml", "[serve]==1.2.3", "[serve]==1.2.2", "", "pyproject.toml must require"),
        ("pyproject.toml", "x", "x", "v1.2.4", "the tag is v1.2.4, but the version in pyproject.toml is 1.2.3"),
        ("CHANGELOG.md", "(2026-01-31)", "(unreleased)", "v1.2.3", "CHANGELOG.md has no line '## 1.2.3 (YYYY-MM-DD)'"),
        ("CHANGELOG.md", "x", "x", "v1.2.3", ""),
    ],
)  # fmt: skip
def test_check_finds_what_is_not_ready(tmp_path: Path, file: str, old: str, new: str, tag: str, message: str) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in FILES[:2]:
        path = tmp_path / name
        version = re.search(r'^version = "(.*)"$', path.read_text(), re.M)
        assert version is not None
        path.write_text(path.read_text().replace(version[1], "1.2.3"))
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3 (2026-01-31)\n")
    path = tmp_path / file
    path.write_text(path.read_text().replace(old, new))
    command = [str(tmp_path / ".ci" / "release-check")]
    environment = {"PATH": "/usr/bin:/bin", "TAG": tag, "PYTHON": "true"}  # builds nothing
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == (1 if message else 0), done.stderr
    assert done.stderr.startswith(f"release-check: {message}" if message else "")
    assert bool(done.stderr) == bool(message)
