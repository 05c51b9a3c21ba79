"""Progress of real runs of a tiny model, on a terminal and off it, by a clock that advances two seconds a batch."""

import re
from pathlib import Path

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from cli import progress
from cli.progress import ModelSummaryLine, PlainProgress, TrainingBar
from executor.commands import progress as count_progress
from executor.commands.progress import CountProgress, format_duration
from tests.support.fake_clock import Clock
from tests.support.toy_run import Toy, ToyData


class AdvanceClock(Callback):
    """Advances the clock by two seconds when a batch starts; there are three batches an epoch."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_batch_start(self, *_: object) -> None:
        self.clock.now += 2.0


class RecordBar(Callback):
    """Records what the bar shows after each batch."""

    def __init__(self, bar: TrainingBar) -> None:
        self.bar = bar
        self.left: list[object] = []

    def on_train_batch_end(self, trainer, pl_module, *_: object) -> None:
        self.left.append(self.bar.get_metrics(trainer, pl_module).get("run left"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(count_progress, "time", clock)
    return clock


def fit(folder: Path, clock: Clock, *callbacks: Callback, ckpt_path: str | None = None, **ends: int) -> Trainer:
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False, num_sanity_val_steps=0,
        limit_val_batches=0, log_every_n_steps=1, default_root_dir=folder, callbacks=[AdvanceClock(clock), *callbacks],
        **ends,
    )  # fmt: skip
    trainer.fit(Toy(), ToyData(), ckpt_path=ckpt_path, weights_only=True)
    return trainer


def read_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the printed lines of a run without its metrics."""
    lines = [line for line in capsys.readouterr().err.splitlines() if re.match(r"(epoch|step) \d", line)]
    return [line.partition(" · train/loss")[0] for line in lines]


def test_lines_of_a_run_have_its_rate_and_the_time_left(
    clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(tmp_path, clock, PlainProgress(interval_s=4.0), enable_progress_bar=False, max_epochs=2)
    # six batches of 2 s: a line after 4, 8 and 12 s, and one at the end
    assert read_lines(capsys) == [
        "epoch 0.7/2 · step 2 · 0.50 steps/s · 0:08 left",
        "epoch 1.3/2 · step 4 · 0.50 steps/s · 0:04 left",
        "epoch 2.0/2 · step 6 · 0.50 steps/s · 0:00 left",
        "epoch 2.0/2 · step 6 · 0.50 steps/s · 0:00 left",
    ]


@pytest.mark.parametrize(
    ("ends", "left"),
    [
        ({"max_epochs": 4}, "0:20"),  # 2 of 12 batches in 4 s
        ({"max_epochs": 4, "max_steps": 6}, "0:08"),  # 2 of 6: the steps end it
        ({"max_epochs": 2, "max_steps": 60}, "0:08"),  # the epochs end it
        ({"max_epochs": -1, "max_steps": 6}, "0:08"),
    ],
)
def test_bar_shows_the_time_left_until_epochs_or_steps_end(
    clock: Clock, tmp_path: Path, ends: dict[str, int], left: str
) -> None:
    bar = TrainingBar()
    record = RecordBar(bar)
    fit(tmp_path, clock, bar, record, **ends)
    assert record.left[1] == left


def test_rate_and_time_left_of_a_resumed_run_are_those_since_its_start(
    clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(tmp_path / "first.ckpt")
    fit(tmp_path, clock, enable_progress_bar=False, max_epochs=2).save_checkpoint(checkpoint)
    clock.now += 1000.0
    options = {"enable_progress_bar": False, "max_epochs": 4}
    fit(tmp_path, clock, PlainProgress(interval_s=4.0), ckpt_path=checkpoint, **options)
    assert read_lines(capsys)[0] == "epoch 2.7/4 · step 8 · 0.50 steps/s · 0:08 left"


def test_count_progress_measures_the_rate_since_its_start(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with CountProgress("tasks", 100, num_before=60) as job:
        for seconds, count in ((6, 5), (5, 6), (9, 2), (1, 9)):
            clock.now += seconds
            job.advance(count)
    # 11 in 11 s, 29 left; the next line 10 s later: 22 in 21 s, 18 left
    assert capsys.readouterr().err.splitlines() == [
        "tasks 71/100 · 1/s · 0:29 left",
        "tasks 82/100 · 1.05/s · 0:17 left",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (97.6, "1:38"), (3599.7, "1:00:00"), (7325, "2:02:05")])
def test_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


class Adapted(LightningModule):
    """1,500 weights that are frozen, and an adapter of 40."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(1500, 1, bias=False)
        self.adapter = nn.Linear(40, 1, bias=False)
        self.base.weight.requires_grad_(False)


def test_summary_tells_trained_weights_from_all(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = Trainer(logger=False, barebones=True, accelerator="cpu")
    ModelSummaryLine("runs/mine").on_fit_start(trainer, Adapted())
    assert capsys.readouterr().err.endswith(
        "1.5K weights, 40 of them trained; curves: tensorboard --logdir runs/mine\n"
    )
