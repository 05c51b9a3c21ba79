"""Trains on one simulated GPU in every way, or on two with one strategy; prints a JSON line for each training.

    python -m tests.device.programs.train SCRATCH DATA POLICY [STRATEGY]

A way that fails is reported and does not end the program, except on two ranks.
"""

import json
import math
import sys
import traceback
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.device.simulated.cuda import device

if device.num_devices() > 1:
    from tests.device.simulated import nccl

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer

import lightning_modules.training.run_executor as run_executor
from datamodules.rl_data import RLDataModule
from datamodules.sampler import MixturePart
from datamodules.sft_data import SFTDataModule
from executor.types import Status, Submission
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.forward.compute import ComputeConfig
from lightning_modules.models.lora import LoRAConfig
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig
from lightning_modules.rl_module import RLModule
from lightning_modules.sft_module import SFTModule
from lightning_modules.training.optimizers import RLOptimizerConfig
from tests.support.fake_executor import FakeExecutor
from tests.support.tiny_runs import TINY

LORA = LoRAConfig(r=2)
HALF = ComputeConfig(dtype="bfloat16")
PRECISION = "bf16-mixed"


def half_pass(submission: Submission) -> Status:
    """Pass about half of all texts."""
    return Status.PASSED if zlib.crc32(submission.completion.encode()) % 2 else Status.WRONG


def build_sft(data: str, policy: str | None, **settings) -> tuple[LightningModule, LightningDataModule]:
    start = {"architecture": TINY} if policy is None else {"init_from": policy}
    module = SFTModule(**start, max_new_tokens=6, eval_batch_size=4, **settings)
    parts = {"atomic": MixturePart(weight=1.0)}
    return module, SFTDataModule(
        data, parts, batch_size=4, max_length=128, steps_per_epoch=2, num_val_tasks=3, vocab_size=300
    )


def build_rl(data: str, policy: str, estimator: str, **settings) -> tuple[LightningModule, LightningDataModule]:
    trunk = settings.pop("trunk", "separate")
    critic = CriticConfig(trunk=trunk, num_epochs=1, warmup_iterations=0) if estimator == "gae" else None
    module = RLModule(
        init_from=policy,
        algorithm=AlgorithmConfig(estimator=estimator),  # type: ignore[arg-type]
        critic=critic,
        kl=KLConfig(init_coef=0.1),
        sampling=SamplingParams(max_new_tokens=8),
        optimizer=RLOptimizerConfig(lr=1e-3),
        rollout_batch_size=8,
        reward_probe_fraction=1.0,
        **settings,
    )
    return module, RLDataModule(data, prompts_per_iteration=4, samples_per_prompt=4, minibatch_size=8, num_val_tasks=3)


def list_ways(data: str, policy: str) -> dict[str, tuple[str, Callable[[], tuple]]]:
    """Map names to (precision, builder)."""
    ways: dict[str, tuple[str, Callable[[], tuple]]] = {
        "sft": (PRECISION, lambda: build_sft(data, None)),
        "sft 32-true": ("32-true", lambda: build_sft(data, policy)),
        "sft 16-mixed": ("16-mixed", lambda: build_sft(data, policy)),
        "sft lora": (PRECISION, lambda: build_sft(data, policy, lora=LORA, compute=HALF)),
        "ppo shared critic": (PRECISION, lambda: build_rl(data, policy, "gae", trunk="shared")),
        "grpo lora": (PRECISION, lambda: build_rl(data, policy, "grpo", lora=LORA, compute=HALF)),
        "grpo checkpointing": (
            PRECISION,
            lambda: build_rl(data, policy, "grpo", compute=ComputeConfig(gradient_checkpointing=True)),
        ),
    }
    for estimator in ("gae", "grpo", "dr_grpo", "rloo", "reinforce_pp"):
        ways[estimator] = (PRECISION, lambda estimator=estimator: build_rl(data, policy, estimator))
    return ways


def train(name: str, precision: str, build: Callable[[], tuple], scratch: str, strategy: str = "auto") -> None:
    """Train an epoch, validate as a command of its own, and print what happened."""
    module, data = build()
    seen: dict[str, object] = {}

    def look() -> None:
        seen["device"] = next(module.policy.parameters()).device.type

    module.on_train_end = look  # type: ignore[method-assign]
    trainer = Trainer(
        accelerator="gpu",
        devices=device.num_devices(),
        strategy=strategy,
        precision=precision,
        max_epochs=1,
        gradient_clip_val=0.0 if precision == "16-mixed" else 1.0,
        default_root_dir=scratch,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        inference_mode=strategy != "fsdp2",  # as cli.config.cli sets it
    )
    trainer.fit(module, data)
    losses = [float(value) for tag, value in trainer.callback_metrics.items() if tag.startswith("loss/")]
    trainer.validate(module, data, verbose=False)
    if trainer.is_global_zero:
        passed = {tag: float(value) for tag, value in trainer.callback_metrics.items() if "greedy" in tag}
        collectives = dict(nccl.collectives) if device.num_devices() > 1 else {}
        report = {"way": name, **seen, "finite": all(map(math.isfinite, losses)), "passed": passed}
        print(json.dumps({**report, "collectives": collectives, "steps": trainer.global_step}), flush=True)


def main(scratch: str, data: str, policy: str, strategy: str | None = None) -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("error", message="FSDP2-wrapped module")  # returned a view
    warnings.filterwarnings("ignore", message="The '.*dataloader' does not have many workers")
    run_executor.open_executor = lambda backend, **_: FakeExecutor(half_pass)
    if strategy is not None:
        for name, build in (("sft", lambda: build_sft(data, policy)), ("ppo", lambda: build_rl(data, policy, "gae"))):
            train(name, PRECISION, build, scratch, strategy)
        return
    for name, (precision, build) in list_ways(data, policy).items():
        try:
            train(name, precision, build, scratch)
        except Exception:
            error = traceback.format_exc().strip()
            print(json.dumps({"way": name, "error": error[-1500:]}), flush=True)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(exist_ok=True)
    main(*sys.argv[1:])
