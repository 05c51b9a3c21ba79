"""Curves over stops: what a killed run left is hidden, what was written is not written twice."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

import lightning_modules.training.run_executor as run_executor
from lightning_modules.training.logging.run_logger import METRICS_FILE, RunLogger, read_curves, seconds_until_last
from lightning_modules.training.logging.run_record import ExecutorRecord, read_record
from lightning_modules.training.run_executor import RunExecutor
from tests.support.fake_executor import FakeExecutor


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return [(point.step, point.value) for point in events.Scalars(tag)] if tag in events.Tags()["scalars"] else []


def write(folder: Path, points: dict[int, float], *, purge_step: int = 0) -> Path:
    """Write a start's points; return its event file."""
    before = set(folder.glob("events.*"))
    logger = RunLogger(folder, purge_step=purge_step)
    for step, value in points.items():
        logger.log_metrics({"x": value}, step)
    logger.finalize("success")
    [file] = set(folder.glob("events.*")) - before
    return file


@pytest.mark.parametrize("num_lost_bytes", [0, 1, 7, 20])
def test_a_truncated_file_with_points_past_the_checkpoint_leaves_no_trace(tmp_path: Path, num_lost_bytes: int) -> None:
    killed = write(tmp_path, {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0})
    killed.rename(tmp_path / "events.out.tfevents.0000000001.a.1.0")  # seconds before the next
    cut = tmp_path / "events.out.tfevents.0000000001.a.1.0"
    cut.write_bytes(cut.read_bytes()[: len(cut.read_bytes()) - num_lost_bytes])
    write(tmp_path, {2: 20.0, 3: 30.0, 4: 40.0, 5: 50.0}, purge_step=2)
    assert curve(tmp_path, "x") == [(0, 0.0), (1, 1.0), (2, 20.0), (3, 30.0), (4, 40.0), (5, 50.0)]


def test_a_restart_within_the_second_of_the_stop_is_read_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(9))
    stopped = write(tmp_path, {0: 0.0, 1: 1.0, 2: 2.0})
    restarted = write(tmp_path, {1: 10.0, 2: 20.0}, purge_step=1)
    assert (stopped.suffix, restarted.suffix) == (".9", ".10")  # the other way round within a second
    assert curve(tmp_path, "x") == [(0, 0.0), (1, 10.0), (2, 20.0)]


@pytest.mark.parametrize(
    ("names", "seconds"),
    [
        ([], 0.0),
        (["events.out.tfevents.0000000099.host.7.0"], 0.0),
        (["events.out.tfevents.0000000099.a.1.0", "events.out.tfevents.0000000100.host.7.9"], 0.75),
        (["events.out.tfevents.0000000102.host.7.0"], 2.75),
        (["events.out.tfevents.0000005000.host.7.0"], 5.0),  # a clock that was set back
        (["events.out.tfevents.mine", "events.out.tfevents.0000000100"], 0.75),
    ],
)
def test_the_wait_is_until_the_second_after_the_newest_files(tmp_path: Path, names: list[str], seconds: float) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert seconds_until_last(tmp_path, now=100.25) == pytest.approx(seconds)
    assert seconds_until_last(tmp_path / "none", now=100.25) == 0


def test_a_point_written_at_a_step_is_not_written_again(tmp_path: Path) -> None:
    logger = RunLogger(tmp_path)
    logger.log_metrics({"x": 1.0}, 4)
    logger.log_metrics({"x": 2.0, "y": 3.0}, 4)
    logger.log_metrics({"x": 5.0}, 5)
    logger.finalize("success")
    assert curve(tmp_path, "x") == [(4, 1.0), (5, 5.0)]
    assert curve(tmp_path, "y") == [(4, 3.0)]


@pytest.fixture
def factors(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """The time factors that executors were opened with; a fresh one finds 1.5."""
    asked: list[float | None] = []

    def open_executor(backend: str, *, time_factor: float | None) -> FakeExecutor:
        asked.append(time_factor)
        executor = FakeExecutor()
        executor.time_factor = 3.0 if backend == "http://service" else 1.5 if time_factor is None else time_factor
        return executor

    monkeypatch.setattr(run_executor, "open_executor", open_executor)
    return asked


def opened(folder: Path, *, at_step: int, purge_step: int, backend: str = "auto") -> None:
    logger = RunLogger(folder, purge_step=purge_step)
    RunExecutor(backend).open(SimpleNamespace(loggers=[logger], global_step=at_step))  # type: ignore[arg-type]
    logger.finalize("success")


def test_a_resumed_run_has_its_time_factor_back_and_one_point_of_it(tmp_path: Path, factors: list) -> None:
    opened(tmp_path, at_step=6, purge_step=0)
    assert read_record(tmp_path).executor == ExecutorRecord(description="runs nothing", time_factor=1.5, step=5)  # type: ignore[union-attr]
    opened(tmp_path, at_step=12, purge_step=9)
    assert factors == [None, 1.5]
    assert curve(tmp_path, "executor/time_factor") == [(5, 1.5)]
    opened(tmp_path, at_step=6, purge_step=3)  # back before that point: it is forgotten, and written again
    assert curve(tmp_path, "executor/time_factor") == [(5, 1.5)]


def test_a_service_with_another_factor_is_said(tmp_path: Path, factors: list, caplog: pytest.LogCaptureFixture) -> None:
    opened(tmp_path, at_step=1, purge_step=0)
    assert not caplog.text
    opened(tmp_path, at_step=6, purge_step=3, backend="http://service")
    assert "time_factor is 3, but was 1.5 so far" in caplog.text
    assert curve(tmp_path, "executor/time_factor") == [(0, 1.5)]


def test_the_metrics_file_is_continued_from_the_checkpoint(tmp_path):
    first = RunLogger(tmp_path)
    for step in range(4):
        first.log_metrics({"loss/train": 4.0 - step}, step)
    first.log_metrics({"loss/val": 1.5}, 3)
    path = tmp_path / METRICS_FILE
    assert read_curves(tmp_path) == {"loss/train": [[0, 4.0], [1, 3.0], [2, 2.0], [3, 1.0]], "loss/val": [[3, 1.5]]}
    with path.open("a") as file:
        file.write('{"step": 4, "loss/tr')  # killed while it wrote
    resumed = RunLogger(tmp_path, purge_step=2)
    resumed.log_metrics({"loss/train": 2.5}, 2)
    resumed.log_metrics({"loss/train": 2.5}, 2)  # written already
    assert read_curves(tmp_path) == {"loss/train": [[0, 4.0], [1, 3.0], [2, 2.5]]}
    again = RunLogger(tmp_path)
    again.log_metrics({"loss/train": 9.0}, 0)
    assert read_curves(tmp_path) == {"loss/train": [[0, 9.0]]}
    assert read_curves(tmp_path / "none") == {}
