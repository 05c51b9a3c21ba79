"""Loading the model of an evaluation: its precision, its device, its fingerprint."""

from pathlib import Path

import pytest
import torch

from cli.evaluation import inputs as evaluation_inputs
from datamodules.encoding.tokenizer import train_tokenizer
from lightning_modules.models.loading import fingerprint
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm


def test_weights_published_in_bfloat16_are_loaded_in_it_and_count_as_the_same(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["def solve(x): return x"], 280, tmp_path / "tokenizer")
    sizes = TinyLlamaConfig(hidden_size=16, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=16)
    for name, dtype in (("half", torch.bfloat16), ("full", torch.float32)):
        build_causal_lm(sizes, tokenizer, 0).to(dtype).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    half = [evaluation_inputs.load_model(tmp_path / "half", dtype=dtype)[0] for dtype in ("bfloat16", "float32")]
    assert [model.dtype for model in half] == [torch.bfloat16, torch.float32]
    assert fingerprint(half[0]) == fingerprint(half[1])
    full, _ = evaluation_inputs.load_model(tmp_path / "full", dtype="bfloat16")  # rounding would change the weights
    assert full.dtype == torch.float32
    assert fingerprint(full) != fingerprint(half[0])


def test_model_stays_on_the_cpu_if_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: moved.append(device.type))
    monkeypatch.setattr(evaluation_inputs, "load_policy", lambda checkpoint, dtype: (torch.nn.Linear(1, 1), None))
    for accelerator in ("auto", "gpu", "cpu"):
        evaluation_inputs.load_model("run", accelerator=accelerator)
    assert moved == ["cuda", "cuda", "cpu"]
    assert not torch.backends.cuda.cudnn_sdp_enabled()
