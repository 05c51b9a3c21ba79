"""Every command that runs programs names the forms a backend may have."""

import pytest

from cli.main import main
from executor.client import BACKENDS


@pytest.mark.parametrize("command", ["evaluate", "demo", "synthesize", "audit", "grade"])
def test_help_lists_the_backends(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert main([command, "--help"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("--backend")]
    assert all(form in line for form in BACKENDS)
