"""The order of arms, and arms that fail."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.study import schedule
from cli.study.arm import Arm
from cli.study.schedule import divide_gpus, list_visible_gpus, run_arms, with_measured_times
from tests.support.study_results import make_arm


def arm(tmp_path: Path, name: str, parent: Path | None = None) -> Arm:
    return make_arm(name, tmp_path / name, parent=parent, estimated_minutes=2.0)


def test_children_of_a_failed_arm_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def start(arm: Arm, *, show_output: bool, gpus: str | None):
        started.append(arm.stage)
        arm.folder.mkdir(parents=True, exist_ok=True)
        (arm.folder / "log.txt").write_text("some output\nthe last line\n")
        fails = arm.stage == "broken"
        if not fails:
            (arm.folder / "result.json").write_text("{}")
        return subprocess.Popen([sys.executable, "-c", f"import sys; sys.exit({int(fails)})"])

    monkeypatch.setattr(schedule, "_start", start)
    monkeypatch.setattr(schedule, "read_result", lambda path: type("Result", (), {"minutes": 1.0}))
    good, broken = arm(tmp_path, "good"), arm(tmp_path, "broken")
    arms = [good, broken, arm(tmp_path, "waits", broken.folder), arm(tmp_path, "follows", good.folder)]
    lines: list[str] = []
    failed = run_arms(arms, jobs=2, log=lines.append)
    assert failed == [broken]
    assert sorted(started) == ["broken", "follows", "good"]
    assert any("broken (seed 0): failed with exit code 1: the last line" in line for line in lines)
    started.clear()
    run_arms(arms, jobs=1, log=lines.append)
    assert started == ["broken"]  # what is done is not made again, what failed is tried again
    assert with_measured_times(arms)[0].estimated_minutes == 1.0
    assert with_measured_times(arms)[1].estimated_minutes == 2.0


def test_gpus_are_divided_among_the_arms_that_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, 5,GPU-a,7,")
    gpus = list_visible_gpus()
    assert gpus == ["4", "5", "GPU-a", "7"]
    assert divide_gpus(gpus, 1) == [None]  # one arm may use all
    assert divide_gpus(gpus, 2) == ["4,5", "GPU-a,7"]
    assert divide_gpus(gpus, 3) == ["4", "5", "GPU-a"]
    assert divide_gpus(["0", "1", "2"], 2) == ["0", "1"]
    assert divide_gpus(["0", "1"], 3) == ["0", "1", "0"]
    assert divide_gpus([], 2) == [None, None]
