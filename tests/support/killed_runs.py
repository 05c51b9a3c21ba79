"""Drives the real `fit` command on a tiny model: runs it, kills it, and reads what it left."""

import os
import random
import signal
import time
from pathlib import Path

import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

from datamodules.encoding.tokenizer import train_tokenizer, training_texts
from datamodules.eval_data import load_dataset
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm
from lightning_modules.training.checkpointing import is_finished
from tests.support.preloaded import PreloadedProcess, start_preloaded
from tests.support.small_data import write_small_data
from tests.support.wait import wait_until

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"hidden_size": 32, "num_layers": 1, "num_heads": 2, "num_kv_heads": 1, "intermediate_size": 48}
ALWAYS = {
    "num_threads": 1,
    "trainer": {
        "accelerator": "cpu", "devices": 1, "precision": "32-true", "check_val_every_n_epoch": 3,
        "enable_model_summary": False, "enable_progress_bar": False, "callbacks": [],
    },
}  # fmt: skip


def write_inputs(folder: Path) -> None:
    """Write the data set, a model to start RL from, and an overlay for each base config."""
    data_dir = write_small_data(folder / "data", synthetic_rl=6)
    tokenizer = train_tokenizer(training_texts(load_dataset(data_dir)), 300, folder / "tokenizer")
    build_causal_lm(TinyLlamaConfig(**SIZES, max_position=128), tokenizer, 1).save_pretrained(folder / "start")
    tokenizer.save_pretrained(folder / "start")
    sft = {
        "trainer": {"max_epochs": 20, "log_every_n_steps": 2},
        "model": {"architecture": {**SIZES, "max_position": 128}, "max_new_tokens": 6, "executor_backend": "process"},
        "data": {
            "data_dir": str(data_dir), "batch_size": 4, "max_length": 64, "steps_per_epoch": 5, "vocab_size": 300,
            "num_val_tasks": 2, "mixture": {"atomic": {"weight": 0.5}, "synthetic_train": {"weight": 0.5}},
        },
    }  # fmt: skip
    ppo = {
        "trainer": {"max_epochs": 6},
        "model": {
            "init_from": str(folder / "start"), "sampling": {"max_new_tokens": 8}, "reward_probe_fraction": 1.0,
            "critic": {"warmup_iterations": 0}, "kl": {"init_coef": 0.05, "target": 0.5, "horizon": 50},
            "executor_backend": "process",
        },
        "data": {
            "data_dir": str(data_dir), "prompts_per_iteration": 4, "samples_per_prompt": 2, "minibatch_size": 4,
            "num_sampled_reward_tests": 2, "num_val_tasks": 2,
        },
    }  # fmt: skip
    for name, overlay in (("sft", sft), ("ppo", ppo)):
        for section in ("model", "data"):
            overlay[section] = {"init_args": overlay[section]}
        overlay |= {"num_threads": 1, "trainer": ALWAYS["trainer"] | overlay["trainer"]}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(overlay))


def start(folder: Path, kind: str, run_dir: str, *options: str) -> PreloadedProcess:
    """Start `fit` in a process group of its own."""
    arguments = ["fit", "--config", str(ROOT / "configs" / f"{kind}.yaml"), "--config", f"{kind}.yaml"]
    arguments += ["--run_dir", run_dir, "--ckpt_path", "last", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATOMFORGE_")}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return start_preloaded(arguments, folder=folder, environment=environment, log=folder / f"{run_dir}.log")


def finish(process: PreloadedProcess, folder: Path, run_dir: str, *, timeout_s: float = 250.0) -> None:
    """Wait for the end of a run, which must be a good one."""
    code = process.wait(timeout_s)
    assert code == 0, (folder / f"{run_dir}.log").read_text()[-2000:]
    assert is_finished(folder / run_dir)


def run_with_kills(folder: Path, kind: str, run_dir: str, *options: str, num_kills: int, rng: random.Random) -> None:
    """Start a run again and again, killing it while it trains; the last start goes through."""
    for number in range(num_kills):
        process = start(folder, kind, run_dir, *options)
        _await_progress(process, folder / run_dir, before=checkpoint_names(folder / run_dir))
        time.sleep(rng.uniform(0.0, 0.4))
        if number % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        assert process.wait() == -signal.SIGKILL, f"kill {number + 1} came after the end of the run"
    finish(start(folder, kind, run_dir, *options), folder, run_dir)


def checkpoint_names(run_dir: Path) -> set[str]:
    return {path.name for path in (run_dir / "checkpoints").glob("epoch_*.ckpt")}


def wait_for_checkpoints(process: PreloadedProcess, run_dir: Path, number: int) -> None:
    """Wait until a run has written so many checkpoints; fails with the end of its log if it ends before."""

    def has_written() -> bool:
        if len(checkpoint_names(run_dir)) >= number:
            return True
        assert process.poll() is None, run_dir.with_suffix(".log").read_text()[-2000:]
        return False

    wait_until(has_written, within_s=120)


def assert_same_end(one: Path, other: Path) -> None:
    """Compare parameters, optimizer and all scalars but those of speed, bit for bit."""
    left, right = (content_of(run / "checkpoints" / "final.ckpt") for run in (one, other))
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "rl_state"):
        assert_same(left.get(key), right.get(key), key)
    assert scalars(one) == scalars(other)


def content_of(checkpoint: Path) -> dict:
    """Read a checkpoint, with the parts of a sharded one put together."""
    if checkpoint.is_file():
        return torch.load(checkpoint, weights_only=True)
    whole = checkpoint.resolve().with_suffix(".whole")
    dcp_to_torch_save(checkpoint, whole)
    tensors = torch.load(whole, weights_only=True)
    whole.unlink()
    return torch.load(checkpoint / "meta.pt", weights_only=True) | {
        "state_dict": tensors["state_dict"],
        "optimizer_states": tensors["optimizer_0"],
    }


def assert_same(left: object, right: object, where: str) -> None:
    if isinstance(left, torch.Tensor):
        assert isinstance(right, torch.Tensor), where
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert isinstance(right, dict), where
        assert left.keys() == right.keys(), where
        for key, value in left.items():
            assert_same(value, right[key], f"{where}.{key}")
    elif isinstance(left, list | tuple):
        assert isinstance(right, list | tuple), where
        assert len(left) == len(right), where
        for index, (a, b) in enumerate(zip(left, right, strict=True)):
            assert_same(a, b, f"{where}.{index}")
    else:
        assert left == right, where


def scalars(run_dir: Path) -> dict[str, list[tuple[int, str]]]:
    """Every curve as (step, value), the value in hexadecimal digits so that nan is equal to itself.

    Of the time factor, which each run measures for itself, the steps alone.
    """
    events = EventAccumulator(str(run_dir), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(point.step, "" if tag == "executor/time_factor" else point.value.hex()) for point in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if not tag.startswith(("time/", "throughput/"))
    }


def _await_progress(process: PreloadedProcess, run_dir: Path, *, before: set[str]) -> None:
    """Wait until the run has written a new checkpoint."""
    deadline = time.monotonic() + 120
    while not checkpoint_names(run_dir) - before:
        assert process.poll() is None, run_dir.with_suffix(".log").read_text()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.01)
