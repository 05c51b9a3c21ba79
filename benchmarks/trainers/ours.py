"""Our trainers as they are, through Lightning's Trainer.

    python -m benchmarks.trainers.ours FOLDER sft|ppo|grpo shipped|matched NUM_STEPS [NUM_RANKS | real]

`shipped`: bfloat16, and for PPO a critic that shares the trunk; `matched`: float32 and a critic of its own, as TRL's.
Programs are judged by a stand-in at once, or, with `real`, by the executor.
"""

import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer

import lightning_modules.training.run_executor as run_executor
from benchmarks.trainers.instant_executor import InstantExecutor
from benchmarks.trainers.raw import BATCH_SIZE
from datamodules.batches import SFTBatch
from datamodules.rl_data import RLDataModule
from datamodules.sampler import MixturePart
from datamodules.sft_data import SFTDataModule
from lightning_modules.generation.sampler import Sampling
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig
from lightning_modules.rl.kl_control import KLConfig
from lightning_modules.rl_module import RLModule
from lightning_modules.sft_module import SFTModule
from lightning_modules.training.optimizers import AdamWConfig

PARTS = ("generate", "score", "execute", "update")


class Clock(Callback):
    """Times each optimizer step of SFT and each iteration of reinforcement learning."""

    def __init__(self) -> None:
        self.steps_s: list[float] = []
        self.tokens: list[int] = []
        self.parts_s: list[dict[str, float]] = []
        self._last = time.perf_counter()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.steps_s.append(now - self._last)
        self._last = now

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ):
        if isinstance(batch, SFTBatch):
            self._tick()
            self.tokens.append(int(torch.count_nonzero(batch.segment_ids)))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(pl_module, RLModule) and trainer.current_epoch > 0:
            self._tick()
            logged = trainer.callback_metrics
            self.parts_s.append({part: float(logged[f"time/{part}_s"]) for part in PARTS})


def sft(folder: str, num_steps: int, *, batch_size: int) -> tuple[LightningModule, LightningDataModule]:
    data = SFTDataModule(
        f"{folder}/data", {"synthetic_train": MixturePart()}, batch_size=batch_size, max_length=256,
        steps_per_epoch=num_steps, num_val_tasks=4, tokenizer=f"{folder}/start",
    )  # fmt: skip
    return SFTModule(init_from=f"{folder}/start", optimizer=AdamWConfig(lr=1e-4)), data


def rl(folder: str, algorithm: str, mode: str, *, init_from: str, max_new_tokens: int = 64, real: bool = False):
    """Make module and data of an algorithm; `real`: rewards from programs that run."""
    trunk = "shared" if mode == "shipped" else "separate"
    critic = CriticConfig(trunk=trunk, warmup_iterations=0) if algorithm == "ppo" else None
    kl = KLConfig() if algorithm == "ppo" else KLConfig(place="loss", estimator="k3", init_coef=0.02)
    module = RLModule(
        init_from=init_from,
        algorithm=AlgorithmConfig(
            estimator="gae" if algorithm == "ppo" else "grpo", whiten=algorithm == "ppo", target_kl=None
        ),
        critic=critic,
        kl=kl,
        sampling=Sampling(max_new_tokens=max_new_tokens),
        retest_share=0.25 if real else 0.0,
    )
    data = RLDataModule(
        f"{folder}/data", prompts_per_iteration=8, samples_per_prompt=4, minibatch_size=32,
        num_sampled_reward_tests=16 if real else 0,
    )  # fmt: skip
    return module, data


def judge_at_once() -> None:
    """Put the stand-in in the place of the executor, for this process."""
    run_executor.open_executor = lambda backend, **_: InstantExecutor()  # pyright: ignore


def fit(module: LightningModule, data: LightningDataModule, folder: str, **options: Any) -> tuple[Clock, Trainer]:
    """Train under the clock."""
    clock = Clock()
    trainer = Trainer(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        limit_val_batches=0, use_distributed_sampler=False, reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0, gradient_clip_val=1.0, default_root_dir=folder, callbacks=[clock], **options,
    )  # fmt: skip
    trainer.fit(module, data)
    return clock, trainer


def main(folder: str, what: str, mode: str, num_steps: str, extra: str = "1") -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    real = extra == "real"
    num_ranks = 1 if real else int(extra)
    if not real:
        judge_at_once()
    steps = int(num_steps)
    if what == "sft":
        module, data = sft(folder, steps, batch_size=BATCH_SIZE * num_ranks)
    else:
        module, data = rl(folder, what, mode, init_from=f"{folder}/{'trained' if real else 'start'}", real=real)
    clock, trainer = fit(
        module, data, folder, accelerator="cpu", devices=num_ranks, strategy="ddp" if num_ranks > 1 else "auto",
        precision="bf16-mixed" if mode == "shipped" else "32-true", max_epochs=1 if what == "sft" else steps + 1,
    )  # fmt: skip
    if trainer.is_global_zero:
        print(json.dumps({"steps_s": clock.steps_s, "tokens": clock.tokens, "parts_s": clock.parts_s}))


if __name__ == "__main__":
    main(*sys.argv[1:])
