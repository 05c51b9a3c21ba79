"""The overlays of configs/cluster/ for DDP and FSDP2 load over SFT and RL; the memory in their heads is computed."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch.strategies import DDPStrategy

from benchmarks import scaling
from cli.config.cli import build_run_from_arguments
from lightning_modules.models.sharding import FSDP2Strategy
from tests.support.tiny_model import write_tiny_model

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
OVERLAYS = sorted((CONFIGS / "cluster").glob("*_[0-9]x*.yaml"))
COMPUTED = {
    "ddp_1x8": (scaling.QWEN_1_5B, scaling.DDP_1X8),
    "ddp_4x8": (scaling.QWEN_1_5B, scaling.DDP_4X8),
    "fsdp_1x8": (scaling.QWEN_7B, scaling.FSDP_1X8),
    "fsdp_4x8": (scaling.QWEN_7B, scaling.FSDP_4X8),
}


def read_trainer(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))["trainer"]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("start")
    write_tiny_model(folder)
    return str(folder)


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
@pytest.mark.parametrize("base", ["sft", "ppo"])
def test_overlays_fit_sft_and_rl_alike(path: Path, base: str, start: str) -> None:
    trainer = read_trainer(path)
    arguments = ["--config", str(CONFIGS / f"{base}.yaml"), "--config", str(path), "--model.init_args.init_from", start]
    if trainer["accelerator"] == "gpu" and not torch.cuda.is_available():
        arguments += ["--trainer.accelerator", "cpu"]
    cli = build_run_from_arguments("fit", arguments, stage="built")
    assert cli.trainer.world_size == trainer["num_nodes"] * trainer["devices"]
    assert isinstance(cli.trainer.strategy, {"ddp": DDPStrategy, "fsdp2": FSDP2Strategy}[trainer["strategy"]])
    # weights gathered in inference mode cannot be used; on GPUs Lightning would enter it in `validate` and `test`
    assert cli.trainer.validate_loop.inference_mode == (trainer["strategy"] != "fsdp2")
    if path.stem in COMPUTED:
        assert cli.model.compute_config.gradient_checkpointing


def test_every_gpu_overlay_has_a_computed_layout() -> None:
    assert {path.stem for path in OVERLAYS} == {*COMPUTED, "ddp_1x2_cpu"}
    for path in OVERLAYS:
        trainer = read_trainer(path)
        assert (path.stem in COMPUTED) == (trainer["accelerator"] == "gpu"), path.name
        if path.stem in COMPUTED:
            _, layout = COMPUTED[path.stem]
            assert trainer["precision"] == "bf16-mixed"
            assert (layout.num_nodes, layout.gpus_per_node) == (trainer["num_nodes"], trainer["devices"])
            assert layout.strategy == trainer["strategy"]


@pytest.mark.parametrize("name", COMPUTED)
def test_peak_memory_in_the_head_is_the_computed_one(name: str) -> None:
    model, layout = COMPUTED[name]
    head = (CONFIGS / "cluster" / f"{name}.yaml").read_text(encoding="utf-8")
    [(model_name, gib)] = re.findall(r"^# Peak memory of a rank, computed for (\S+) with PPO: (\S+) GiB", head, re.M)
    memory = scaling.compute_memory(model, scaling.build_run(4096, layout), layout)
    assert model_name == model.name
    assert gib == f"{max(memory['generating'], memory['updating']) / 2**30:.1f}"
