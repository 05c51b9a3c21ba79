"""A run that fails closes what it opened, and names a checkpoint that does not fit."""

import pytest

from cli.config.cli import build_run
from executor.commands.errors import UsageError

DEMO = "lightning.pytorch.demos.boring_classes"


@pytest.fixture
def settings(tmp_path):
    return {
        "run_dir": str(tmp_path / "run"),
        "model": f"{DEMO}.BoringModel",
        "data": f"{DEMO}.BoringDataModule",
        "trainer.accelerator": "cpu",
        "trainer.limit_train_batches": 1,
        "trainer.limit_val_batches": 0,
        "num_threads": 1,
        "seed_everything": 0,
    }


def test_an_error_of_the_trainer_tears_the_module_down(settings, monkeypatch):
    """An executor that stays open fails in the end of the process, with a traceback after the message."""
    run = build_run("fit", [], settings, stage="built")
    torn_down = []
    monkeypatch.setattr(run.model, "teardown", torn_down.append)

    def fail(*args, **kwargs):
        raise ValueError("no engine")

    monkeypatch.setattr(run.trainer, "fit", fail)
    with pytest.raises(ValueError, match="no engine"):
        run.run()
    assert torn_down == ["fit"]


def test_a_checkpoint_of_a_later_epoch_is_named_with_the_key(settings):
    build_run("fit", [], settings | {"trainer.max_epochs": 4}).run()
    shorter = settings | {"trainer.max_epochs": 1, "ckpt_path": "last"}
    with pytest.raises(UsageError, match=r"trainer.max_epochs is 1, but .*\.ckpt is from epoch \d: set a larger"):
        build_run("fit", [], shorter).run()
