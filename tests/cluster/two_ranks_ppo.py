"""Runs two iterations of PPO on the CPU ranks of the strategy given."""

import zlib
from pathlib import Path

import lightning_modules.training.run_executor as run_executor
from datamodules.rl_data import RLDataModule
from executor.types import Status, Submission
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig
from lightning_modules.rl_module import RLModule
from lightning_modules.training.optimizers import RLOptimizerConfig
from tests.cluster.ends_of_training import arguments, train
from tests.support.fake_executor import FakeExecutor


def verdict(submission: Submission) -> Status:
    """Pass about half of all texts, lose one in four, and pass every other one again."""
    number = zlib.crc32(submission.completion.encode()) % 8
    if submission.task.tests:
        return Status.PASSED if number % 2 else Status.WRONG
    return Status.INFRA if number > 5 else Status.PASSED if number < 4 else Status.WRONG


def main(strategy: str, data_dir: str, scratch: str) -> None:
    run_executor.open_executor = lambda backend, **_: FakeExecutor(verdict)
    module = RLModule(
        init_from=str(Path(scratch, "start")),
        algorithm=AlgorithmConfig(target_kl=None),
        critic=CriticConfig(trunk="shared", num_epochs=1, warmup_iterations=0),
        kl=KLConfig(init_coef=0.1, target=0.5, horizon=50),
        sampling=SamplingParams(max_new_tokens=8),
        # normalized returns have mean 0, so the first gradient of the bias is rounding, which AdamW scales to value_lr
        optimizer=RLOptimizerConfig(lr=1e-3, value_lr=1e-3, warmup_iterations=1),
        reward_probe_fraction=1.0,
    )
    data = RLDataModule(data_dir, prompts_per_iteration=4, samples_per_prompt=4, minibatch_size=16, num_ppo_epochs=2)
    train("ppo", strategy, module, data, scratch, limit_val_batches=0, gradient_clip_val=1.0)


if __name__ == "__main__":
    main(*arguments())
