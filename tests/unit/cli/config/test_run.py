"""A run that fails: what it has opened is closed."""

import pytest

from cli.config.cli import build_run

DEMO = "lightning.pytorch.demos.boring_classes"


def test_an_error_of_the_trainer_tears_the_module_down(tmp_path, monkeypatch):
    """An executor that stays open fails in the end of the process, with a traceback after the message."""
    overrides = {
        "run_dir": str(tmp_path / "run"),
        "model": f"{DEMO}.BoringModel",
        "data": f"{DEMO}.BoringDataModule",
        "trainer.accelerator": "cpu",
    }
    run = build_run("fit", [], overrides, stage="built")
    torn_down = []
    monkeypatch.setattr(run.model, "teardown", torn_down.append)

    def fail(*args, **kwargs):
        raise ValueError("no engine")

    monkeypatch.setattr(run.trainer, "fit", fail)
    with pytest.raises(ValueError, match="no engine"):
        run.run()
    assert torn_down == ["fit"]
