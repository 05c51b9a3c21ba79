"""Two ranks over gloo train as one rank does: same global minibatches, same losses, same weights.

Real processes, started by Lightning through the command line, on a model of a few hundred weights.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset, DatasetDict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).resolve().parents[2]
SPLITS = ("atomic", "synthetic_train", "synthetic_rl", "synthetic_val", "synthetic_test")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cluster") / "data"
    tables = {split: Dataset.from_list([_row(split, index) for index in range(12)]) for split in SPLITS}
    DatasetDict(tables).save_to_disk(str(directory))
    return directory


def _row(split: str, index: int) -> dict:
    number = SPLITS.index(split) * 100 + index
    tests = json.dumps([{"args": [x], "expected": x + number} for x in (0, 5)])
    return {
        "task_id": f"{split}/{index}",
        "prompt": f"Write solve(x) that adds {number} to x" + " please" * (index % 3),
        "language": "en",
        "solution": f"def solve(x):\n    return x + {number}\n",
        "entry_point": "solve",
        "tests": tests,
        "reward_tests": tests,
        "atoms": ["add"],
        "depth": 1 if split == "atomic" else 2,
        "skeleton": f"add({index})",
    }


def _fit(*arguments: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "fit", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def _sft(run_dir: Path, data_dir: Path, num_ranks: int) -> None:
    _fit(
        *("--config", "configs/sft.yaml", "--run_dir", str(run_dir), "--data.init_args.data_dir", str(data_dir)),
        *("--trainer.accelerator", "cpu", "--trainer.devices", str(num_ranks), "--trainer.precision", "32-true"),
        *("--trainer.strategy", "ddp" if num_ranks > 1 else "auto", "--trainer.max_epochs", "2"),
        *("--trainer.limit_val_batches", "0", "--trainer.log_every_n_steps", "1", "--num_threads", "1"),
        *("--model.init_args.architecture.hidden_size", "32", "--model.init_args.architecture.num_layers", "1"),
        *("--model.init_args.architecture.intermediate_size", "32", "--data.init_args.vocab_size", "300"),
        *("--data.init_args.steps_per_epoch", "3", "--data.init_args.batch_size", "8"),
    )


def _weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return torch.load(run_dir / "checkpoints" / "final.ckpt", weights_only=True)["state_dict"]


def _losses(run_dir: Path) -> list[float]:
    events = EventAccumulator(str(run_dir)).Reload()
    return [event.value for event in events.Scalars("loss/train")]


def test_sft_on_two_ranks_equals_one(data_dir: Path, tmp_path: Path) -> None:
    for num_ranks in (1, 2):
        _sft(tmp_path / str(num_ranks), data_dir, num_ranks)
    one, two = _weights(tmp_path / "1"), _weights(tmp_path / "2")
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-5)
    assert len(_losses(tmp_path / "1")) == 6
