"""The overlays of configs/cluster/ for DDP and FSDP2 load over SFT and RL; their heads say what the estimate says."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch.strategies import DDPStrategy

ROOT = Path(__file__).resolve().parents[2]
from benchmarks.cost import tables  # noqa: E402
from cli.config.cli import AtomforgeCLI  # noqa: E402
from datamodules.tokenizer import train_tokenizer  # noqa: E402
from lightning_modules.models.sharding import FSDP2Strategy  # noqa: E402
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm  # noqa: E402

CONFIGS = ROOT / "configs"
OVERLAYS = sorted((CONFIGS / "cluster").glob("*_[0-9]x*.yaml"))
ESTIMATED = {
    "ddp_1x8": (tables.QWEN_1_5B, tables.DDP_1X8),
    "ddp_4x8": (tables.QWEN_1_5B, tables.DDP_4X8),
    "fsdp_1x8": (tables.QWEN_7B, tables.FSDP_1X8),
    "fsdp_4x8": (tables.QWEN_7B, tables.FSDP_4X8),
}


def trainer_of(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))["trainer"]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    policy = tmp_path_factory.mktemp("policy")
    tokenizer = train_tokenizer(["def solve(x): return x"], 280, policy / "tokenizer")
    sizes = TinyLlamaConfig(hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=16)
    build_causal_lm(sizes, tokenizer, 0).save_pretrained(policy)
    tokenizer.save_pretrained(policy)
    return str(policy)


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
@pytest.mark.parametrize("base", ["sft", "ppo"])
def test_overlays_fit_sft_and_rl_alike(path: Path, base: str, start: str) -> None:
    asked = trainer_of(path)
    words = ["--config", str(CONFIGS / f"{base}.yaml"), "--config", str(path), "--model.init_args.init_from", start]
    if asked["accelerator"] == "gpu" and not torch.cuda.is_available():
        words += ["--trainer.accelerator", "cpu"]
    cli = AtomforgeCLI("fit", words, run=False)
    assert cli.trainer.world_size == asked["num_nodes"] * asked["devices"]
    assert isinstance(cli.trainer.strategy, {"ddp": DDPStrategy, "fsdp2": FSDP2Strategy}[asked["strategy"]])
    if path.stem in ESTIMATED:
        assert cli.model.engine.gradient_checkpointing


def test_every_overlay_for_gpus_has_its_estimate() -> None:
    assert {path.stem for path in OVERLAYS} == {*ESTIMATED, "ddp_1x2_cpu"}
    for path in OVERLAYS:
        asked = trainer_of(path)
        assert (path.stem in ESTIMATED) == (asked["accelerator"] == "gpu"), path.name
        if path.stem in ESTIMATED:
            _, layout = ESTIMATED[path.stem]
            assert asked["precision"] == "bf16-mixed"
            assert (layout.num_nodes, layout.gpus_per_node) == (asked["num_nodes"], asked["devices"])
            assert layout.strategy == asked["strategy"]


@pytest.mark.parametrize("name", ESTIMATED)
def test_the_numbers_in_a_head_are_those_of_the_estimate(name: str) -> None:
    model, layout = ESTIMATED[name]
    head = (CONFIGS / "cluster" / f"{name}.yaml").read_text(encoding="utf-8").partition("\n\n")[0]
    computed = tables.memory_of(model, layout).in_gib()
    written = [float(number) for number in re.findall(r"^#   .* (\d+\.\d)$", head, re.MULTILINE)]
    wanted = [round(value, 1) for part, value in computed.items() if value > 0 and part != "peak"]
    assert sorted(written) == sorted(wanted)
    for label, part in (("while generating", "generating"), ("while updating", "updating")):
        assert re.search(rf"^#   {label} +{computed[part]:.1f}$", head, re.MULTILINE)
    time = tables.computed(model, layout, 1024)
    assert f"{model.name} (N = {model.num_weights / 1e9:.3f} billion weights)" in head
    assert f"computed: {1024 / time.total:.0f} responses a second ({time.total:.1f} s for 1024)" in head
    assert f"of which {time.communicate:.1f} s communication" in head.replace("\n# ", " ")
    assert "Nothing here was ever run on a GPU" in head
