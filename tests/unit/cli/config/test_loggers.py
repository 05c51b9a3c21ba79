"""Loggers that a config adds to TensorBoard's."""

import csv
import importlib.util
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from lightning.pytorch.loggers.logger import Logger

from tests.support.toy_run import curves, fit, in_tmp  # noqa: F401

pytestmark = pytest.mark.usefixtures("in_tmp")


class RecordingLogger(Logger):
    """Stands for any logger of Lightning."""

    points: ClassVar[list[tuple[int | None, dict[str, float]]]] = []
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self, project: str) -> None:
        super().__init__()
        self.project = project

    @property
    def name(self) -> str:
        return self.project

    @property
    def version(self) -> str:
        return "0"

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.points.append((step, dict(metrics)))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.settings.update(params)


def use_loggers(*loggers: dict[str, Any]) -> tuple[str, str]:
    Path("loggers.yaml").write_text(yaml.safe_dump({"trainer": {"logger": list(loggers)}}))
    return "--config", "loggers.yaml"


def test_other_loggers_get_the_same_points_as_tensorboard() -> None:
    RecordingLogger.points.clear()
    ours = {"class_path": f"{__name__}.RecordingLogger", "init_args": {"project": "toy"}}
    table = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "table", "name": ""}}
    assert fit(*use_loggers(ours, table)) == 0
    expected = curves("run")["val/loss"]
    recorded = [(step, row["val/loss"]) for step, row in RecordingLogger.points if "val/loss" in row]
    assert recorded == [(step, pytest.approx(value)) for step, value in expected]
    assert RecordingLogger.settings["model"]["init_args"]["width"] == 3
    [path] = Path("table").rglob("metrics.csv")
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/loss"]]
    assert [(int(row["step"]), float(row["val/loss"])) for row in rows] == [
        (step, pytest.approx(value)) for step, value in expected
    ]
    assert Path("run", "metrics.jsonl").exists()


def test_no_logger_at_all() -> None:
    assert fit("--trainer.logger", "false") == 0
    assert not list(Path("run").glob("events.*"))


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="wandb is installed")
def test_a_logger_without_its_package_is_one_line(capsys: pytest.CaptureFixture) -> None:
    wandb = {"class_path": "lightning.pytorch.loggers.WandbLogger", "init_args": {"offline": True}}
    assert fit(*use_loggers(wandb)) == 2
    error = capsys.readouterr().err
    assert "wandb" in error
    assert error.count("\n") == 1


def test_weights_and_biases_offline() -> None:
    pytest.importorskip("wandb")
    init = {"project": "toy", "offline": True, "save_dir": "wandb_runs"}
    Path("wandb_runs").mkdir()
    assert fit(*use_loggers({"class_path": "lightning.pytorch.loggers.WandbLogger", "init_args": init})) == 0
    [run] = Path("wandb_runs", "wandb").glob("offline-run-*/*.wandb")
    assert run.stat().st_size > 0
    assert curves("run")["val/loss"]
