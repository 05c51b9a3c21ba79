"""A run of a model of four weights: what `atomforge fit` and its kin are tested with."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import torch
import yaml
from lightning.pytorch import LightningDataModule, LightningModule
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.utils.data import DataLoader

from cli.main import main
from lightning_modules.training.checkpointing import list_checkpoints

STEPS_PER_EPOCH = 3


class Toy(LightningModule):
    interrupt_at_step: ClassVar[int | None] = None

    def __init__(self, width: int = 3, learning_rate: float = 0.1, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        super().__init__()
        self.betas = betas
        self.linear = torch.nn.Linear(width, 1)
        self.learning_rate = learning_rate

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        if self.interrupt_at_step == self.global_step:
            raise KeyboardInterrupt
        loss = (self.linear(batch) - 1).pow(2).mean()
        self.log("train/loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/loss", (self.linear(batch) - 1).pow(2).mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, betas=self.betas)


class ToyData(LightningDataModule):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.rows = torch.linspace(-1, 1, STEPS_PER_EPOCH * width).reshape(STEPS_PER_EPOCH, width)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.rows, batch_size=1)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.rows, batch_size=STEPS_PER_EPOCH)


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    config = {
        "seed_everything": 1,
        "run_dir": "run",
        "num_threads": 1,
        "model": {"class_path": f"{__name__}.Toy", "init_args": {"width": 3}},
        "data": {"class_path": f"{__name__}.ToyData"},
        "trainer": {
            "max_epochs": 4, "accelerator": "cpu", "precision": "32-true", "log_every_n_steps": 1,
            "enable_model_summary": False, "num_sanity_val_steps": 0,
        },
    }  # fmt: skip
    Path("base.yaml").write_text(yaml.safe_dump(config))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    Toy.interrupt_at_step = None


def fit(*arguments: str) -> int:
    return main(["fit", "--config", "base.yaml", *arguments])


def weights(run_dir: str) -> dict[str, Tensor]:
    return torch.load(list_checkpoints(run_dir)[-1], weights_only=True)["state_dict"]


def curves(run_dir: str) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(run_dir, size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
