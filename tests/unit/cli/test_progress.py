"""Rates and times left of runs and of jobs that count, on a terminal and off it."""

from typing import Any, cast

import pytest
from lightning.pytorch import LightningModule, Trainer

from cli import progress
from cli.progress import RunClock, TrainingBar
from executor.commands import progress as count_progress
from executor.commands.progress import CountProgress, format_duration
from tests.support.fake_clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(count_progress, "time", clock)
    return clock


class Run:
    """What a trainer knows of how far it is, after `step` of 40 steps in epochs of 10."""

    num_training_batches = 10

    def __init__(self, *, max_epochs: int | None = 4, max_steps: int = -1) -> None:
        self.max_epochs = max_epochs
        self.max_steps = max_steps
        self.global_step = 0

    @property
    def current_epoch(self) -> int:
        return self.global_step // 10

    @property
    def epochs(self) -> float:
        return self.global_step / 10


@pytest.mark.parametrize(
    ("run", "seconds_left"),
    [
        (Run(max_epochs=4), 30.0),  # 25 of 40 steps are done, 5 of them in the 10 s since the start at 20
        (Run(max_epochs=4, max_steps=30), 10.0),  # whichever ends it
        (Run(max_epochs=-1, max_steps=30), 10.0),
        (Run(max_epochs=3, max_steps=40), 10.0),
        (Run(max_epochs=None), None),
        (Run(max_epochs=-1), None),
    ],
)
def test_the_time_left_is_that_of_the_run_at_the_rate_of_this_start(
    clock: Clock, run: Run, seconds_left: float | None
) -> None:
    trainer = cast(Trainer, run)
    run_clock = RunClock()
    run.global_step = 20
    run_clock.start(trainer)
    assert run_clock.left_s(trainer, run.epochs) is None
    run.global_step = 25
    clock.now += 10
    assert run_clock.rate(trainer) == pytest.approx(0.5)
    assert run_clock.left_s(trainer, run.epochs) == (seconds_left and pytest.approx(seconds_left))


def test_the_bar_shows_the_time_left_of_the_run(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    run, module, bar = Run(), cast(LightningModule, None), TrainingBar()
    trainer = cast(Trainer, run)
    for hook in ("on_train_start", "on_train_batch_end"):
        monkeypatch.setattr(progress.RichProgressBar, hook, lambda *_: None)
    monkeypatch.setattr(progress.RichProgressBar, "get_metrics", lambda *_: {"loss": 1.5})
    bar.on_train_start(trainer, module)
    assert bar.get_metrics(trainer, module) == {"loss": 1.5}
    run.global_step, clock.now = 13, clock.now + 26  # 14 of 40 with the batch that ends
    bar.on_train_batch_end(trainer, module, cast(Any, None), None, batch_idx=3)
    assert bar.get_metrics(trainer, module) == {"run left": "0:48", "loss": 1.5}  # 26 / 14 * 26 = 48.3 s


def test_lines_of_a_job_leave_out_what_was_done_before(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
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
