"""RL on fresh prompts that is killed and started again ends as the run that was never stopped, bit for bit.

The real command, on one and two ranks.
"""

import random
from pathlib import Path

import pytest
import yaml

from datamodules.encoding.tokenizer import training_texts
from datamodules.eval_data import load_dataset
from datamodules.synthesis.build import build
from datamodules.synthesis.config import Counts, Depths, SynthesisConfig
from lightning_modules.models.tiny_llama import TinyLlamaConfig
from tests.support.in_process import InProcess
from tests.support.killed_runs import (
    ALWAYS,
    SIZES,
    assert_same,
    assert_same_end,
    content_of,
    finish,
    run_with_kills,
    start,
)
from tests.support.tiny_model import write_tiny_model

CONFIG = SynthesisConfig(
    seed=5,
    counts=Counts(train=8, rl=6, val=4, test=4, test_deeper=2, test_held_out_atoms=2),
    solution_form="solve",
    depths=Depths(train=(1, 2), rl=(1, 2), val=(2,), test=(2,), test_deeper=(3,)),
    num_tests=8,
    num_reward_tests=4,
    languages=("en",),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fresh")
    build(folder / "data", CONFIG, executor=InProcess(), verifier=InProcess(1))
    texts = training_texts(load_dataset(folder / "data"))
    config = TinyLlamaConfig(**SIZES, max_position=512)
    write_tiny_model(folder / "start", texts=texts, vocab_size=600, config=config, seed=1)
    model = {
        "init_from": str(folder / "start"), "sampling": {"max_new_tokens": 8}, "executor_backend": "process",
        "reward": {"loads_coef": 0.1}, "optimizer": {"lr": 1e-2, "warmup_iterations": 1},
        "algorithm": {"max_gen_batches": 2},
    }  # fmt: skip
    data = {
        "data_dir": str(folder / "data"), "prompts_per_iteration": 6, "samples_per_prompt": 2, "minibatch_size": 12,
        "num_sampled_reward_tests": 2, "num_val_tasks": 2, "fresh_prompts": {"depths": [1, 2, 3]},
    }  # fmt: skip
    overlay = {
        "num_threads": 1,
        "trainer": ALWAYS["trainer"] | {"max_epochs": 6},
        "model": {"init_args": model},
        "data": {"init_args": data},
    }
    (folder / "rl.yaml").write_text(yaml.safe_dump(overlay))
    return folder


@pytest.mark.parametrize(
    "options",
    [(), pytest.param(("--trainer.devices=2", "--trainer.strategy=ddp"), marks=pytest.mark.slow)],
    ids=["one", "two ranks"],
)
def test_killed_runs_on_fresh_prompts_end_as_whole_ones(folder: Path, options: tuple[str, ...]) -> None:
    whole, killed = (f"{name}{len(options)}" for name in ("whole", "killed"))
    finish(start(folder, "rl", whole, *options), folder, whole)
    run_with_kills(folder, "rl", killed, *options, num_kills=1, rng=random.Random(1))
    assert_same_end(folder / whole, folder / killed)
    one, other = (content_of(folder / name / "checkpoints" / "final.ckpt")["RLDataModule"] for name in (whole, killed))
    assert_same(one, other, "data")
    assert all(one["fresh_prompts"][depth]["num_taken"] >= 12 for depth in ("1", "2", "3"))
