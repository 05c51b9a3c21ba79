"""Ends of training as the cluster tests compare them: weights, metrics and the loss of every step over all ranks."""

import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from torch.distributed.tensor import DTensor

from lightning_modules.models.sharding import full_tensor

RANKS = {"one": 1, "ddp": 2, "fsdp2": 2}


class StepLosses(Callback):
    """Keeps the mean over ranks of each step's loss."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(float(trainer.strategy.reduce(outputs["loss"].detach(), reduce_op="mean")))


def train(
    kind: str, strategy: str, module: LightningModule, data: LightningDataModule, scratch: str, **options
) -> None:
    """Fit on the ranks of `strategy`; every rank saves how it ended."""
    torch.set_num_threads(1)
    losses = StepLosses()
    trainer = Trainer(
        accelerator="cpu", devices=RANKS[strategy], strategy="auto" if strategy == "one" else strategy, max_epochs=2,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, reload_dataloaders_every_n_epochs=1, num_sanity_val_steps=0,
        default_root_dir=scratch, callbacks=[losses], **options,
    )  # fmt: skip
    trainer.fit(module, data)
    end = {
        "weights": {name: full_tensor(value).detach() for name, value in module.policy.state_dict().items()},
        "is_sharded": all(isinstance(parameter, DTensor) for parameter in module.policy.parameters()),
        "metrics": dict(trainer.callback_metrics),
        "losses": losses.losses,
        "kl_coef": module.kl_controller.coef if hasattr(module, "kl_controller") else None,
    }
    torch.save(end, Path(scratch, f"{kind}_{strategy}_{trainer.global_rank}.pt"))


def arguments() -> tuple[str, str, str]:
    """Strategy, data directory and scratch directory."""
    strategy, data_dir, scratch = sys.argv[1:]
    return strategy, data_dir, scratch
