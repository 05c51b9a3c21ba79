"""What is trained, in one line."""

import pytest
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from cli.model_line import ModelLine


class Adapted(LightningModule):
    """1,500 weights that are frozen, and an adapter of 40."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(1500, 1, bias=False)
        self.adapter = nn.Linear(40, 1, bias=False)
        self.base.weight.requires_grad_(False)


def test_weights_that_are_trained_are_told_from_all(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = Trainer(logger=False, barebones=True, accelerator="cpu")
    ModelLine("runs/mine").on_fit_start(trainer, Adapted())
    assert capsys.readouterr().err.endswith(
        "1.5K weights, 40 of them trained; curves: tensorboard --logdir runs/mine\n"
    )
