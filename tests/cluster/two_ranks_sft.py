"""Trains a tiny model by SFT on the number of CPU ranks given; every rank saves its weights, rank 0 its metrics."""

import sys
from pathlib import Path

import torch
from fake_executor import FakeExecutor
from lightning.pytorch import Trainer

import lightning_modules.run_executor as run_executor
from datamodules.mixture import MixturePart
from datamodules.sft_data import SFTDataModule
from executor.schema import Status, Submission
from lightning_modules.architecture import Architecture
from lightning_modules.optimizers import AdamWConfig
from lightning_modules.sft_module import SFTModule

TINY = Architecture(hidden_size=32, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=48, max_position=128)


def pass_even(submission: Submission) -> Status:
    return Status.PASSED if int(submission.task.task_id[-1]) % 2 == 0 else Status.WRONG


def main(num_ranks: int, data_dir: str, scratch: str) -> None:
    torch.set_num_threads(1)
    run_executor.open_executor = lambda backend, time_factor=None: FakeExecutor(pass_even)
    mixture = {"atomic": MixturePart(weight=1.0), "synthetic_train": MixturePart(weight=1.0)}
    data = SFTDataModule(
        data_dir, mixture, batch_size=4, max_length=64, steps_per_epoch=3, vocab_size=300, num_val_tasks=3
    )
    module = SFTModule(architecture=TINY, optimizer=AdamWConfig(lr=1e-2, warmup_steps=2), max_new_tokens=4)
    trainer = Trainer(
        accelerator="cpu", devices=num_ranks, strategy="ddp" if num_ranks > 1 else "auto", max_epochs=2, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, reload_dataloaders_every_n_epochs=1, num_sanity_val_steps=0,
        default_root_dir=scratch,
    )  # fmt: skip
    trainer.fit(module, data)
    end = {"weights": module.policy.state_dict(), "metrics": dict(trainer.callback_metrics)}
    torch.save(end, Path(scratch, f"sft_{num_ranks}_{trainer.global_rank}.pt"))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
