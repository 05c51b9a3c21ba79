"""Trains a tiny model by SFT on the number of CPU ranks given, and prints what rank 0 ended with as JSON."""

import json
import sys
from pathlib import Path

import torch
from lightning.pytorch import Trainer

import lightning_modules.evaluation as evaluation_module
import lightning_modules.sft_module as sft_module
from datamodules.mixture import MixturePart
from datamodules.sft_data import SFTDataModule
from executor.schema import Outcome, Status
from lightning_modules.optimizers import AdamWConfig
from lightning_modules.policy import Architecture

TINY = Architecture(hidden_size=32, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=48, max_position=128)


class NoExecutor:
    def close(self) -> None:
        pass


def pass_english(executor, submissions, limits, on_result=None):
    statuses = [Status.PASSED if int(item.task.task_id[-1]) % 2 == 0 else Status.WRONG for item in submissions]
    return [Outcome(status=status, num_passed=0, num_tests=3, duration_s=0.0) for status in statuses]


def main(num_ranks: int, data_dir: str, scratch: str) -> None:
    torch.set_num_threads(1)
    evaluation_module.grade = pass_english
    sft_module.open_executor = lambda backend: NoExecutor()
    mixture = {"atomic": MixturePart(weight=1.0), "synthetic_train": MixturePart(weight=1.0)}
    data = SFTDataModule(
        data_dir, mixture, batch_size=4, max_length=64, steps_per_epoch=3, vocab_size=300, num_val_tasks=3
    )
    module = sft_module.SFTModule(architecture=TINY, optimizer=AdamWConfig(lr=1e-2, warmup_steps=2), max_new_tokens=4)
    trainer = Trainer(
        accelerator="cpu", devices=num_ranks, strategy="ddp" if num_ranks > 1 else "auto", max_epochs=2, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, reload_dataloaders_every_n_epochs=1, num_sanity_val_steps=0,
        default_root_dir=scratch,
    )  # fmt: skip
    trainer.fit(module, data)
    if trainer.is_global_zero:
        metrics = {tag: float(value) for tag, value in trainer.callback_metrics.items() if not tag.startswith("time/")}
        weights = [float(parameter.double().abs().sum()) for parameter in module.policy.parameters()]
        Path(scratch, f"ranks{num_ranks}.json").write_text(json.dumps({"metrics": metrics, "weights": weights}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
