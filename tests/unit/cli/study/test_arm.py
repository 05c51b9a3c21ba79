"""What an arm keeps of itself, whatever ends it."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli.study import arm
from cli.study.arm import TIMES, record_time
from tests.support.fake_clock import Clock
from tests.support.study_results import make_arm

AT_WORK = "from cli.study import arm; from pathlib import Path; import sys, time\narm.SAVE_EVERY_S = 0.05\n"
AT_WORK += "with arm.record_time(Path(sys.argv[1])): print('begun', flush=True); time.sleep(60)"


def seconds(folder: Path) -> float:
    return json.loads((folder / TIMES).read_text())


def test_the_time_of_a_killed_arm_is_kept(tmp_path: Path) -> None:
    (tmp_path / TIMES).write_text("100.0")
    process = subprocess.Popen([sys.executable, "-c", AT_WORK, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert 100.1 < seconds(tmp_path) < 110


def test_the_time_of_all_starts_adds_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(arm, "time", clock)
    for seconds_inside, expected in ((5.0, 5.0), (2.5, 7.5)):
        with record_time(tmp_path):
            clock.now += seconds_inside
        assert seconds(tmp_path) == expected


def test_an_arm_is_evaluated_and_sampled_from_on_the_accelerator_of_its_training(tmp_path: Path, monkeypatch) -> None:
    run = tmp_path / "run"
    assert arm._get_accelerator(run) == "auto"
    result = SimpleNamespace(config={"trainer": {"accelerator": "cpu"}})
    monkeypatch.setattr("lightning_modules.training.run_result.read_result", lambda path: result)
    monkeypatch.setattr("cli.evaluation.inputs.load_model", lambda path, accelerator: accelerator)
    monkeypatch.setattr("cli.api.evaluate", lambda model, *args, **kwargs: model)
    monkeypatch.setattr("executor.api.open_executor", lambda backend: nullcontext())
    measured = {"splits": {"synthetic_test": (2, 1)}, "dtype": "float32"}
    evaluated = arm.evaluate_arm(make_arm("sft", tmp_path, measurement=measured))
    assert evaluated == {"synthetic_test": "cpu"}
