"""Trains a tiny model by SFT on the CPU ranks of the strategy given."""

import lightning_modules.training.run_executor as run_executor
from datamodules.sampler import MixturePart
from datamodules.sft_data import SFTDataModule
from executor.types import Status, Submission
from lightning_modules.models.tiny_llama import TinyLlamaConfig
from lightning_modules.sft_module import SFTModule
from lightning_modules.training.optimizers import AdamWConfig
from tests.cluster.ends_of_training import arguments, train
from tests.support.fake_executor import FakeExecutor

TINY = TinyLlamaConfig(
    hidden_size=32, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=48, max_position=128
)


def pass_even(submission: Submission) -> Status:
    return Status.PASSED if int(submission.task.task_id[-1]) % 2 == 0 else Status.WRONG


def main(strategy: str, data_dir: str, scratch: str) -> None:
    run_executor.open_executor = lambda backend, **_: FakeExecutor(pass_even)
    mixture = {"atomic": MixturePart(weight=1.0), "synthetic_train": MixturePart(weight=1.0)}
    data = SFTDataModule(
        data_dir, mixture, batch_size=4, max_length=64, steps_per_epoch=3, vocab_size=300, num_val_tasks=3
    )
    module = SFTModule(architecture=TINY, optimizer=AdamWConfig(lr=1e-2, warmup_steps=2), max_new_tokens=4)
    train("sft", strategy, module, data, scratch, gradient_clip_val=1.0)


if __name__ == "__main__":
    main(*arguments())
