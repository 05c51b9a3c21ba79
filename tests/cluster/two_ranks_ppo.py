"""Runs two iterations of PPO on the number of CPU ranks given; every rank saves its weights and metrics."""

import sys
import zlib
from pathlib import Path

import torch
from fake_executor import FakeExecutor
from lightning.pytorch import Trainer

import lightning_modules.run_executor as run_executor
from datamodules.rl_data import RLDataModule
from executor.schema import Status, Submission
from lightning_modules.generation import Sampling
from lightning_modules.kl_control import KLConfig
from lightning_modules.rl_config import AlgorithmConfig, CriticConfig, RLOptimizerConfig
from lightning_modules.rl_module import RLModule


def verdict(submission: Submission) -> Status:
    """Pass about half of all texts, lose one in eight, and pass every other one again."""
    number = zlib.crc32(submission.completion.encode()) % 8
    if submission.task.tests:
        return Status.PASSED if number % 2 else Status.WRONG
    return Status.INFRA if number == 7 else Status.PASSED if number < 4 else Status.WRONG


def main(num_ranks: int, data_dir: str, scratch: str) -> None:
    torch.set_num_threads(1)
    run_executor.open_executor = lambda backend, time_factor=None: FakeExecutor(verdict)
    module = RLModule(
        init_from=str(Path(scratch, "start")),
        algorithm=AlgorithmConfig(target_kl=None),
        critic=CriticConfig(warmup_iterations=0),
        kl=KLConfig(init_coef=0.1, target=0.5, horizon=50),
        sampling=Sampling(max_new_tokens=8),
        optimizer=RLOptimizerConfig(lr=1e-3, value_lr=1e-2, warmup_iterations=1),
        retest_share=1.0,
    )
    data = RLDataModule(data_dir, prompts_per_iteration=4, samples_per_prompt=4, minibatch_size=16, num_ppo_epochs=2)
    trainer = Trainer(
        accelerator="cpu", devices=num_ranks, strategy="ddp" if num_ranks > 1 else "auto", max_epochs=2, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
        use_distributed_sampler=False, reload_dataloaders_every_n_epochs=1, num_sanity_val_steps=0,
        gradient_clip_val=1.0, default_root_dir=scratch,
    )  # fmt: skip
    trainer.fit(module, data)
    end = {
        "weights": module.policy.state_dict(),
        "metrics": dict(trainer.callback_metrics),
        "kl_coef": module.kl_controller.coef,
    }
    torch.save(end, Path(scratch, f"ppo_{num_ranks}_{trainer.global_rank}.pt"))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
