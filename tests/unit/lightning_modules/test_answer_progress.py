"""Progress of every completion of an iteration and of validation; lines are rare and show the rate."""

from pathlib import Path

import pytest

from cli.progress import PlainProgress
from datamodules.rl_data import RLDataModule
from executor.commands import progress as count_progress
from executor.commands.progress import CountLines
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.rl_module import RLModule
from tests.support.fake_clock import Clock
from tests.support.fake_executor import FakeExecutor, use_executor
from tests.support.small_data import write_small_data
from tests.support.tiny_runs import fit, write_policy


class RecordedProgress(PlainProgress):
    """Records the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, int, int]] = []
        self._lines.show = lambda *call: self.calls.append(call)  # type: ignore[method-assign]


def test_lines_have_a_rate_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr(count_progress, "time", clock)
    lines = CountLines(interval_s=10.0)
    for second, done in ((0, 0), (4, 5), (9.9, 12), (10, 20), (15, 30), (20, 40), (300, 0), (301, 128)):
        clock.now = 100.0 + second
        lines.show("iteration 3: completions", done, 128)
    # after 10 s 20 are done, 2 a second, 108 left; after 20 s 40, 88 left; the next batch begins anew and is quick
    assert capsys.readouterr().err.splitlines() == [
        "iteration 3: completions 20/128 · 2/s · 0:54 left",
        "iteration 3: completions 40/128 · 2/s · 0:44 left",
    ]


def test_every_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_executor(monkeypatch, FakeExecutor())
    data_dir = write_small_data(tmp_path / "small")
    told = RecordedProgress()
    module = RLModule(
        init_from=write_policy(tmp_path / "start", data_dir),
        sampling=SamplingParams(max_new_tokens=4),
        rollout_batch_size=2,
    )
    data = RLDataModule(str(data_dir), prompts_per_iteration=2, samples_per_prompt=3, minibatch_size=6, num_val_tasks=1)
    fit(module, data, tmp_path, max_epochs=2, callbacks=[told])
    validation = [("synthetic_val: completions", done, 1) for done in range(2)]
    iterations = [[(f"iteration {number}: completions", done, 6) for done in range(7)] for number in range(2)]
    assert told.calls == [*iterations[0], *validation, *iterations[1], *validation]
