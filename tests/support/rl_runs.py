"""Runs of reinforcement learning with a tiny model and a fake executor, without the command line."""

import zlib
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import Checkpoint

from datamodules.rl_data import RLDataModule
from executor.types import Status, Submission
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig
from lightning_modules.rl_module import RLModule
from lightning_modules.training.optimizers import RLOptimizerConfig
from tests.support.fake_executor import FakeExecutor, use_executor
from tests.support.tiny_runs import fit, write_policy

PPO = AlgorithmConfig(target_kl=None, entropy_coef=0.01)
CRITIC = CriticConfig(trunk="shared", num_epochs=1, warmup_iterations=1)
KL = KLConfig(init_coef=0.1, target=0.5, horizon=50)
FAST = RLOptimizerConfig(lr=1e-3, value_lr=1e-2, warmup_iterations=3)


def verdict(submission: Submission) -> Status:
    """Pass about half of all texts, and lose one in eight, as a function of the text alone."""
    number = zlib.crc32(submission.completion.encode()) % 8
    return Status.INFRA if number == 7 else Status.PASSED if number < 4 else Status.WRONG


def use(monkeypatch: pytest.MonkeyPatch, judge=verdict) -> FakeExecutor:
    fake = FakeExecutor(judge)
    use_executor(monkeypatch, fake)
    return fake


def save_sharp_policy(folder: Path, data_dir: Path, *, seed: int) -> str:
    return write_policy(folder, data_dir, seed=seed, scale=8.0)  # so that log-probabilities differ between tokens


def module_of(start: str, **settings) -> RLModule:
    options = {
        "algorithm": PPO,
        "critic": CRITIC,
        "kl": KL,
        "sampling": SamplingParams(max_new_tokens=8),
        "optimizer": FAST,
        "rollout_batch_size": 5,
    }
    return RLModule(init_from=start, **(options | settings))


def data_of(data_dir: Path, **settings) -> RLDataModule:
    options = {"prompts_per_iteration": 4, "samples_per_prompt": 2, "minibatch_size": 4, "num_ppo_epochs": 2}
    return RLDataModule(str(data_dir), **(options | settings))


def train(start, data_dir, tmp_path, *, module=None, data=None, max_epochs=2, ckpt_path=None, callbacks=(), **settings):
    module = module or module_of(start)
    trainer = fit(
        module,
        data or data_of(data_dir),
        tmp_path,
        max_epochs=max_epochs,
        ckpt_path=ckpt_path,
        callbacks=list(callbacks),
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        **({"limit_val_batches": 0, "gradient_clip_val": 1.0} | settings),
    )
    return module, trainer


def weights(module: RLModule) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.policy.state_dict().items()}


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


class Records(Callback):
    """Keep the weights at the start of every iteration and after every step."""

    def __init__(self) -> None:
        self.starts: list[dict] = []
        self.steps: list[dict] = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.starts.append(weights(pl_module))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps.append(weights(pl_module))
