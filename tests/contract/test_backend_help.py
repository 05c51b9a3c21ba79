"""Every command that runs programs names the forms a backend may have."""

import pytest

from cli.main import main
from executor.api import BACKENDS


@pytest.mark.parametrize("command", ["evaluate", "demo", "synthesize", "audit", "grade"])
def test_help_lists_the_backends(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert main([command, "--help"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("--backend")]
    assert all(form in line for form in BACKENDS)


def test_the_help_of_fit_begins_with_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--help"]) == 0
    usage, _, words = capsys.readouterr().out.partition("\n")
    assert usage.endswith("atomforge fit --config FILE [--config FILE ...] [--KEY VALUE ...] [--ckpt_path last]")
    assert "rl/grpo" in words
    assert "--checkpoint.every_n_epochs" in words
