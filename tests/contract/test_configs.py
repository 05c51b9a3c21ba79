"""Every YAML file shipped under configs/ is understood by the command it is for."""

from pathlib import Path

import pytest
import yaml

from cli.lightning_cli import AtomforgeCLI

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
FILES = sorted(CONFIGS.rglob("*.yaml"))


def content(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


TRAINING = [path for path in FILES if {"model", "data"} <= set(content(path))]


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: str(path.relative_to(CONFIGS)))
@pytest.mark.parametrize("subcommand", ["fit", "validate"])
def test_training_configs_build_model_data_and_trainer(path: Path, subcommand: str) -> None:
    cli = AtomforgeCLI(subcommand, ["--config", str(path)], run=False)
    assert type(cli.model).__name__ == content(path)["model"]["class_path"].rpartition(".")[2]
    assert type(cli.datamodule).__name__ == content(path)["data"]["class_path"].rpartition(".")[2]
    assert cli.trainer.log_dir is not None
    assert cli.trainer.log_dir.startswith(content(path)["run_dir"])
