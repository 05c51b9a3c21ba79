"""The documentation builds without a warning, and the tutorial's commands run, in its order."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"), re.S)
    for line in block.splitlines()
]


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr
    commands = (tmp_path / "site" / "reference" / "commands" / "index.html").read_text(encoding="utf-8")
    assert "atomforge synthesize" in commands
    modules = (tmp_path / "site" / "reference" / "modules" / "index.html").read_text(encoding="utf-8")
    assert "SFTDataModule" in modules
    assert "crossed_difference" in modules


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tutorial_runs(tmp_path: Path) -> None:
    assert len(COMMANDS) == 7
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for line in COMMANDS:
        words = shlex.split(line)
        assert words[0] == "atomforge"
        command = [sys.executable, "-m", "cli.main", *words[1:]]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    assert (tmp_path / "runs" / "tutorial" / "rl" / "checkpoints" / "final.ckpt").exists()
    assert list((tmp_path / "runs" / "tutorial" / "judged").glob("results.json"))
