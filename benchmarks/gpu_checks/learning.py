"""A short GRPO run of a tiny model from scratch: its reward rises. Programs are executed, and none can pass."""

import json
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.gpu_checks import Line, Sizes
from datamodules.batches import TaskPrompt
from datamodules.encoding.tokenizer import train_tokenizer
from datamodules.rl_data import RLDataModule
from executor.types import Outcome
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from lightning_modules.rl.config import AlgorithmConfig, KLConfig
from lightning_modules.rl_module import RLModule
from lightning_modules.training.optimizers import RLOptimizerConfig

MIN_GAIN = 0.3
"""Of the mean reward from the first two to the last two iterations. On a CPU in float32 it rises from 0.01 to 0.65."""
LETTER = "e"
SIZES = TinyLlamaConfig(
    hidden_size=64, num_layers=2, num_heads=4, num_kv_heads=2, intermediate_size=128, max_position=128
)


def letter_share(*, prompt: TaskPrompt, completion: str, outcome: Outcome) -> float:
    """Reward the share of characters that are `LETTER`."""
    return completion.count(LETTER) / max(1, len(completion))


class RecordRewards(Callback):
    """Keeps the mean reward of each iteration."""

    def __init__(self) -> None:
        self.means: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.means.append(float(trainer.callback_metrics["reward/mean"]))


def check_learning(device: torch.device, sizes: Sizes) -> Iterator[Line]:
    """Train, and compare the rewards of the first and the last iterations."""
    started_at = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        rewards = run_grpo(Path(scratch), device, sizes)
    seconds = (time.perf_counter() - started_at) / len(rewards)
    first, last = sum(rewards[:2]) / 2, sum(rewards[-2:]) / 2
    yield Line("seconds of an iteration", f"{seconds:.2f}")
    is_gpu = device.type == "cuda"
    what = "mean reward, first and last" + (f", gain of at least {MIN_GAIN}" if is_gpu else "")
    yield Line(what, f"{first:.3f}, {last:.3f}", last - first >= MIN_GAIN if is_gpu else None)


def run_grpo(scratch: Path, device: torch.device, sizes: Sizes) -> list[float]:
    """Train for `sizes.num_iterations` iterations and return the mean reward of each."""
    names = [f"Write solve(x) that adds {number}." for number in range(8)]
    tests = [{"args": [0], "expected": "never"}]
    rows = [
        {"task_id": name, "prompt": name, "entry_point": "solve", "tests": tests, "split": "train"} for name in names
    ]
    tasks = scratch / "tasks.jsonl"
    tasks.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = train_tokenizer(names, 280, scratch / "tokenizer")
    start = scratch / "start"
    build_causal_lm(SIZES, tokenizer, seed=0).save_pretrained(start)
    tokenizer.save_pretrained(start)
    module = RLModule(
        init_from=str(start),
        algorithm=AlgorithmConfig(estimator="grpo"),
        critic=None,
        kl=KLConfig(init_coef=0.0),
        sampling=SamplingParams(max_new_tokens=sizes.new_tokens // 4),
        optimizer=RLOptimizerConfig(lr=3e-3),
        reward_function=f"{__name__}.letter_share",
        executor_backend="process",
    )
    per_iteration = sizes.num_prompts // 8 * 8
    data = RLDataModule(
        tasks=str(tasks), prompts_per_iteration=8, samples_per_prompt=per_iteration // 8,
        minibatch_size=per_iteration, num_ppo_epochs=2,
    )  # fmt: skip
    rewards = RecordRewards()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu", devices=1,
            precision="bf16-mixed" if device.type == "cuda" else "32-true", max_epochs=sizes.num_iterations,
            gradient_clip_val=1.0, limit_val_batches=0, num_sanity_val_steps=0, logger=False, callbacks=[rewards],
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            use_distributed_sampler=False, reload_dataloaders_every_n_epochs=1, default_root_dir=scratch,
        )  # fmt: skip
        trainer.fit(module, data)
    return rewards.means
