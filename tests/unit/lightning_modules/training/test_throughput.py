"""ThroughputMonitor: speeds over a window by a fake clock, time fractions of an iteration, tags of real runs."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from datamodules.batches import SFTBatch
from datamodules.encoding.tokenizer import train_tokenizer
from datamodules.rl_data import RLDataModule
from datamodules.sampler import MixturePart
from datamodules.sft_data import SFTDataModule
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.policy import Policy
from lightning_modules.models.tiny_llama import build_causal_lm
from lightning_modules.rl.config import CriticConfig
from lightning_modules.rl_module import RLModule
from lightning_modules.sft_module import SFTModule
from lightning_modules.training import throughput
from lightning_modules.training.checkpointing import RunCheckpoint
from lightning_modules.training.logging.run_logger import RunLogger
from lightning_modules.training.logging.tags import documented
from lightning_modules.training.throughput import ThroughputMonitor, time_fractions
from tests.support.fake_executor import FakeExecutor, use_executor
from tests.support.tiny_runs import TINY, write_policy

SHARES = {f"time/{stage}_frac" for stage in ("prompts", "generate", "logprob", "execute", "update", "other")}


@pytest.fixture(autouse=True)
def executor(monkeypatch):
    use_executor(monkeypatch, FakeExecutor())


def trainer_of(folder, *callbacks, **settings) -> Trainer:
    options = {"max_epochs": 2, "limit_val_batches": 0} | settings
    return Trainer(
        accelerator="cpu", devices=1, logger=RunLogger(folder), log_every_n_steps=1, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0, default_root_dir=folder, callbacks=list(callbacks), gradient_clip_val=1.0,
        enable_checkpointing=any(isinstance(callback, RunCheckpoint) for callback in callbacks), **options,
    )  # fmt: skip


def scalars(folder) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


class Clock:
    """Put in place of the module `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


def batch_of(num_tokens: int, num_samples: int) -> SFTBatch:
    """Make one row of samples, all but the last of one token, without padding and with one label."""
    segments = torch.arange(1, num_tokens + 1).clamp(max=num_samples)[None]
    positions = torch.arange(num_tokens)[None] - (segments - 1)
    labels = torch.full_like(segments, -100)
    labels[0, -1] = 1
    return SFTBatch(torch.ones_like(segments), positions, segments, labels, num_samples)


class Module(SimpleNamespace):
    """Keep what is logged, step by step."""

    def log_dict(self, values, batch_size) -> None:
        self.logged.append(values)


def test_speeds_over_a_window_of_two_steps(monkeypatch, tmp_path):
    clock = Clock()
    monkeypatch.setattr(throughput, "time", clock)
    monkeypatch.setattr(throughput, "peak_flops_per_s", lambda device, dtype: 1e6)
    monkeypatch.setattr(throughput, "peak_memory_mib", lambda device: 123.0)
    tokenizer = train_tokenizer(["def solve(x): return x"], 280, tmp_path / "tokenizer")
    module = Module(policy=Policy(build_causal_lm(TINY, tokenizer, 0)), device=torch.device("cpu"), logged=[])
    trainer = SimpleNamespace(precision="32-true", callback_metrics={}, loggers=[], global_step=0)
    callback = ThroughputMonitor(window_steps=2)
    callback.on_fit_start(trainer, module)
    callback.on_train_start(trainer, module)
    callback.on_train_epoch_start(trainer, module)
    clock.now += 50  # rollouts are collected
    callback.on_train_batch_start(trainer, module, None, 0)

    def step(seconds: float, num_tokens: int, num_samples: int) -> None:
        clock.now += seconds
        callback.on_train_batch_end(trainer, module, None, batch_of(num_tokens, num_samples), 0)

    step(2.0, 10, 2)
    step(2.0, 30, 4)
    clock.now += 70  # validation
    callback.on_validation_end(trainer, module)
    step(1.0, 20, 5)
    callback.on_train_epoch_start(trainer, module)
    clock.now += 30  # the rollouts of the next iteration
    callback.on_train_batch_start(trainer, module, None, 0)
    step(3.0, 2, 1)
    first, second, third, fourth = module.logged
    assert first == {"throughput/peak_memory_mib": 123.0}
    assert second["throughput/train_tokens_per_s"] == 40 / 4
    assert third["throughput/train_tokens_per_s"] == 50 / 3
    assert third["throughput/samples_per_s"] == 9 / 3
    assert fourth["throughput/train_tokens_per_s"] == 22 / 4
    # q and o 2 x 32 x 32, k and v 2 x 32 x 16, SwiGLU 3 x 32 x 48, three norms of 32; output layer 32 x vocabulary;
    # attention 12 x 1 layer x 32; the steps hold samples of 16 and four of 1, and one sample of 2 tokens
    per_token, per_prediction = 6 * (2048 + 1024 + 4608 + 96), 6 * 32 * len(tokenizer)
    flops = 22 * per_token + (16**2 + 4 + 2**2) * 384 + 2 * per_prediction
    assert fourth["throughput/mfu"] == pytest.approx(flops / 4 / 1e6)


def test_a_device_without_a_known_peak_has_no_utilization(data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(throughput, "peak_flops_per_s", lambda device, dtype: None)
    found = sft_scalars(data_dir, tmp_path, window_steps=2)
    assert "throughput/mfu" not in found
    assert "throughput/train_tokens_per_s" in found


def test_shares_by_hand():
    parts = {"generate": 4.0, "logprob": 1.0, "execute": 0.0, "update": 3.0}
    assert time_fractions(parts, 10.0) == pytest.approx(
        {"generate": 0.4, "logprob": 0.1, "execute": 0.0, "update": 0.3, "other": 0.2}
    )
    assert time_fractions(parts, 5.0) == {
        "generate": 0.5,
        "logprob": 0.125,
        "execute": 0.0,
        "update": 0.375,
        "other": 0.0,
    }


def sft_scalars(data_dir, folder, *, window_steps: int):
    mixture = {"atomic": MixturePart(weight=1.0), "synthetic_train": MixturePart(weight=1.0)}
    data = SFTDataModule(str(data_dir), mixture, batch_size=4, max_length=64, steps_per_epoch=3, vocab_size=300)
    trainer_of(folder, ThroughputMonitor(window_steps)).fit(SFTModule(architecture=TINY, max_new_tokens=4), data)
    return scalars(folder)


@pytest.mark.parametrize(("window_steps", "num_values"), [(2, 5), (4, 3)])
def test_tags_of_sft_from_the_first_full_window_on(data_dir, tmp_path, window_steps, num_values):
    found = sft_scalars(data_dir, tmp_path, window_steps=window_steps)
    assert not [tag for tag in found if tag != "epoch" and documented(tag) is None]
    assert [step for step, _ in found["throughput/mfu"]] == list(range(6 - num_values, 6))
    for tag in ("throughput/mfu", "throughput/samples_per_s"):
        assert len(found[tag]) == num_values
        assert all(value > 0 for _, value in found[tag])
    assert len(found["throughput/peak_memory_mib"]) == 6
    assert not SHARES & set(found)


class PaddingShares(Callback):
    """Keep the mean share of padding of every iteration, counted token by token."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.epoch: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        marks = [mark == 0 for row in batch.segment_ids.tolist() for mark in row]
        self.epoch.append(sum(marks) / len(marks))

    def on_train_epoch_end(self, trainer, pl_module):
        self.shares.append(sum(self.epoch) / len(self.epoch))


def rl_scalars(data_dir, folder, *callbacks, ckpt_path=None, max_epochs=3):
    start = write_policy(data_dir.parent / "start", data_dir)
    data = RLDataModule(str(data_dir), prompts_per_iteration=12, samples_per_prompt=4, minibatch_size=24)
    module = RLModule(
        init_from=start,
        sampling=SamplingParams(max_new_tokens=8),
        critic=CriticConfig(num_epochs=1, warmup_iterations=0),
    )
    trainer = trainer_of(folder, ThroughputMonitor(2), *callbacks, max_epochs=max_epochs)
    trainer.fit(module, data, ckpt_path=ckpt_path, weights_only=True)
    return scalars(folder)


def test_tags_of_rl_and_their_steps(data_dir, tmp_path):
    padding = PaddingShares()
    found = rl_scalars(data_dir, tmp_path, padding)
    assert not [tag for tag in found if tag != "epoch" and documented(tag) is None]
    # an iteration is two steps of the critic and two of the policy: its values are those of the last one
    assert {tag: [step for step, _ in found[tag]] for tag in SHARES} == dict.fromkeys(SHARES, [3, 7, 11])
    assert [step for step, _ in found["time/update_s"]] == [3, 7, 11]
    for values in zip(*(found[tag] for tag in SHARES), strict=True):
        assert sum(share for _, share in values) == pytest.approx(1.0)
        assert all(0 <= share < 1 for _, share in values)
    columns = ("time/generate_s", "time/update_s", "time/generate_frac", "time/update_frac")
    for rows in zip(*(found[tag] for tag in columns), strict=True):
        (_, generate_s), (_, update_s), (_, share_generate), (_, share_update) = rows
        assert share_generate / share_update == pytest.approx(generate_s / update_s)
    assert [share for _, share in found["rollout/padding_frac"]] == pytest.approx(padding.shares)
    assert max(padding.shares) > 0
    assert len(found["throughput/mfu"]) == 11


def test_the_share_of_padding_is_the_same_on_a_resumed_run(data_dir, tmp_path):
    straight = rl_scalars(data_dir, tmp_path / "straight")["rollout/padding_frac"]
    rl_scalars(data_dir, tmp_path / "half", RunCheckpoint(str(tmp_path / "run")), max_epochs=2)
    checkpoint = tmp_path / "run" / "checkpoints" / "epoch_00002.ckpt"
    resumed = rl_scalars(data_dir, tmp_path / "resumed", ckpt_path=str(checkpoint))
    assert resumed["rollout/padding_frac"] == straight[2:]
    assert [step for step, _ in resumed["time/update_frac"]] == [11]


def test_invalid_uses_are_errors():
    with pytest.raises(ValueError, match="window_steps is 0: at least 1 is needed"):
        ThroughputMonitor(window_steps=0)
    with pytest.raises(ValueError, match="ThroughputMonitor: LightningModule has no policy"):
        ThroughputMonitor().on_train_start(SimpleNamespace(), LightningModule())
