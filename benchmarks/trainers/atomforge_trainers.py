"""The trainers of this project through Lightning's Trainer.

    python -m benchmarks.trainers.atomforge_trainers FOLDER sft|ppo|grpo shipped|matched NUM_STEPS [NUM_RANKS | real]

`shipped`: bfloat16, and for PPO a value head on the policy's trunk; `matched`: float32 and a critic of its own, as in
TRL. Rewards depend on the length of a completion and need no program to run; with `real` the executor runs them. Prints
seconds of each step (SFT: optimizer step, RL: iteration), tokens of SFT steps, and the parts of RL iterations.
"""

import json
import logging
import sys
import time
import warnings
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer

import lightning_modules.training.run_executor as run_executor
from benchmarks.trainers.baselines import BATCH_SIZE
from datamodules.batches import SFTBatch
from datamodules.rl_data import RLDataModule
from datamodules.sampler import MixturePart
from datamodules.sft_data import SFTDataModule
from executor.types import Status, Submission
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig
from lightning_modules.rl_module import RLModule
from lightning_modules.sft_module import SFTModule
from lightning_modules.training.optimizers import AdamWConfig
from tests.support.fake_executor import FakeExecutor

PARTS = ("generate", "score", "execute", "update")


class Clock(Callback):
    """Measures each optimizer step of SFT and each iteration of RL."""

    def __init__(self) -> None:
        self.steps_s: list[float] = []
        self.tokens: list[int] = []
        self.parts_s: list[dict[str, float]] = []
        self._last = time.perf_counter()

    def _end_step(self) -> None:
        now = time.perf_counter()
        self.steps_s.append(now - self._last)
        self._last = now

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        if isinstance(batch, SFTBatch):
            self._end_step()
            self.tokens.append(int(torch.count_nonzero(batch.segment_ids)))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(pl_module, RLModule) and trainer.current_epoch > 0:
            self._end_step()
            logged = trainer.callback_metrics
            self.parts_s.append({part: float(logged[f"time/{part}_s"]) for part in PARTS})


def build_sft(folder: str, num_steps: int, *, batch_size: int) -> tuple[LightningModule, LightningDataModule]:
    data = SFTDataModule(
        f"{folder}/data", {"synthetic_train": MixturePart()}, batch_size=batch_size, max_length=256,
        steps_per_epoch=num_steps, num_val_tasks=4, tokenizer=f"{folder}/start",
    )  # fmt: skip
    return SFTModule(init_from=f"{folder}/start", optimizer=AdamWConfig(lr=1e-4)), data


def build_rl(
    folder: str, algorithm: str, mode: str, *, init_from: str, max_new_tokens: int = 64, is_real: bool = False
):
    """Build module and data of an algorithm; `is_real`: sample new reward tests and run the probe."""
    trunk = "shared" if mode == "shipped" else "separate"
    critic = CriticConfig(trunk=trunk, warmup_iterations=0) if algorithm == "ppo" else None
    kl = KLConfig() if algorithm == "ppo" else KLConfig(apply_to="loss", estimator="k3", init_coef=0.02)
    estimator = "gae" if algorithm == "ppo" else "grpo"
    module = RLModule(
        init_from=init_from, critic=critic, kl=kl, sampling=SamplingParams(max_new_tokens=max_new_tokens),
        algorithm=AlgorithmConfig(estimator=estimator, whiten=algorithm == "ppo", target_kl=None),
        reward_probe_fraction=0.25 if is_real else 0.0,
    )  # fmt: skip
    data = RLDataModule(
        f"{folder}/data", prompts_per_iteration=8, samples_per_prompt=4, minibatch_size=32,
        num_sampled_reward_tests=16 if is_real else 0,
    )  # fmt: skip
    return module, data


def replace_executor() -> None:
    """Make trainers of this process grade by the length of the completion, at once."""

    def grade(submission: Submission) -> Status:
        return Status.PASSED if len(submission.completion) % 2 == 0 else Status.WRONG

    run_executor.open_executor = lambda *_, **__: FakeExecutor(grade)  # pyright: ignore


def fit(module: LightningModule, data: LightningDataModule, folder: str, **options: Any) -> tuple[Clock, Trainer]:
    """Train with a `Clock`."""
    clock = Clock()
    trainer = Trainer(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        limit_val_batches=0, use_distributed_sampler=False, reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0, gradient_clip_val=1.0, default_root_dir=folder, callbacks=[clock], **options,
    )  # fmt: skip
    trainer.fit(module, data)
    return clock, trainer


def main(folder: str, algorithm: str, mode: str, num_steps: str, extra: str = "1") -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    is_real, num_ranks = extra == "real", 1 if extra == "real" else int(extra)
    if not is_real:
        replace_executor()
    if algorithm == "sft":
        module, data = build_sft(folder, int(num_steps), batch_size=BATCH_SIZE * num_ranks)
    else:
        init_from = f"{folder}/{'trained' if is_real else 'start'}"
        module, data = build_rl(folder, algorithm, mode, init_from=init_from, is_real=is_real)
    clock, trainer = fit(
        module, data, folder, accelerator="cpu", devices=num_ranks, strategy="ddp" if num_ranks > 1 else "auto",
        precision="bf16-mixed" if mode == "shipped" else "32-true",
        max_epochs=1 if algorithm == "sft" else int(num_steps) + 1,
    )  # fmt: skip
    if trainer.is_global_zero:
        print(json.dumps({"steps_s": clock.steps_s, "tokens": clock.tokens, "parts_s": clock.parts_s}))


if __name__ == "__main__":
    main(*sys.argv[1:])
