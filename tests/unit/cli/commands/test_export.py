"""`atomforge export`: what it writes is the model, for transformers alone."""

from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cli.main import main
from datamodules.encoding.tokenizer import train_tokenizer
from lightning_modules.models.loading import PAYLOAD_KEY, checkpoint_payload
from lightning_modules.models.policy import Policy
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm

TINY = TinyLlamaConfig(hidden_size=32, num_layers=1, num_heads=2, num_kv_heads=1, intermediate_size=48, max_position=64)
TEXT = "def solve(x): return x\n"
IDS = torch.tensor([[5, 9, 11, 7]])


@pytest.fixture
def saved(tmp_path: Path):
    """Write a checkpoint in a run directory; give model, tokenizer and the run's path."""
    tokenizer = train_tokenizer([TEXT], 280, tmp_path / "tokenizer")
    causal_lm = build_causal_lm(TINY, tokenizer, 3)
    policy = Policy(causal_lm, critic="separate")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    state = {f"policy.{name}": value for name, value in policy.state_dict().items()}
    content = {"state_dict": state, PAYLOAD_KEY: checkpoint_payload(causal_lm, tokenizer)}
    torch.save(content, tmp_path / "run" / "checkpoints" / "epoch_00001.ckpt")
    return causal_lm, tokenizer, tmp_path / "run"


def test_the_folder_gives_the_same_logits_and_tokens(saved, tmp_path, capsys):
    causal_lm, tokenizer, run = saved
    stale = tmp_path / ".out.tmp"
    stale.mkdir()
    (stale / "left_by_a_killed_run").touch()
    assert main(["export", "--checkpoint", str(run), "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert said.err == ""  # no bars in a log
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    words = AutoTokenizer.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        assert torch.equal(loaded(IDS).logits, causal_lm(IDS).logits)
    assert loaded.dtype == torch.float32
    assert words(TEXT)["input_ids"] == tokenizer(TEXT)["input_ids"]
    assert words.eos_token_id == tokenizer.eos_token_id
    assert not stale.exists()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert "left_by_a_killed_run" not in names
    # embedding 259 x 32 (tied), q and o 2 x 32 x 32, k and v 2 x 16 x 32, SwiGLU 3 x 32 x 48, three norms of 32
    weights = len(tokenizer) * 32 + 2048 + 1024 + 4608 + 96
    assert f"{tmp_path / 'out'}: LlamaForCausalLM, {weights:,} weights in float32" in said.out
    assert "model.safetensors" in said.out


def test_weights_in_bfloat16(saved, tmp_path):
    causal_lm, _, run = saved
    checkpoint = run / "checkpoints" / "epoch_00001.ckpt"
    arguments = ["--checkpoint", str(checkpoint), "--output", str(tmp_path / "out"), "--dtype", "bfloat16"]
    assert main(["export", *arguments]) == 0
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert loaded.dtype == torch.bfloat16
    for mine, theirs in zip(causal_lm.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(mine.to(torch.bfloat16), theirs)


def test_what_is_refused_in_one_line(saved, tmp_path, capsys):
    _, _, run = saved
    full = tmp_path / "full"
    full.mkdir()
    nowhere = tmp_path / "no" / "where"
    (tmp_path / "empty").mkdir()
    for checkpoint, output, line in (
        (run, full, f"--output {full} exists already"),
        (run, nowhere, f"--output {nowhere}: no directory {tmp_path / 'no'}"),
        (tmp_path / "empty", tmp_path / "new", f"{tmp_path / 'empty'} holds no model: no checkpoints/*.ckpt of a run"),
    ):
        assert main(["export", "--checkpoint", str(checkpoint), "--output", str(output)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"atomforge: error: {line}")
        assert error.count("\n") == 1
    assert list(full.iterdir()) == []
    assert not (tmp_path / "new").exists()


class FakeHub:
    """The methods of `huggingface_hub.HfApi` that `export` calls."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls: list[tuple] = []

    def create_repo(self, repo_id, *, repo_type, exist_ok):
        if self.error is not None:
            raise self.error
        self.calls.append((repo_id, repo_type, exist_ok))

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        self.calls.append((repo_id, sorted(path.name for path in folder_path.iterdir()), commit_message))
        return SimpleNamespace(commit_url=f"https://hub.test/{repo_id}/commit/1")


def push(monkeypatch, run, output, name="me/model", *, hub=None, token="hf_x"):
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub or FakeHub())
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: token)
    return main(["export", "--checkpoint", str(run), "--output", str(output), "--push", name])


def test_the_folder_is_uploaded(saved, tmp_path, monkeypatch, capsys):
    hub = FakeHub()
    assert push(monkeypatch, saved[2], tmp_path / "out", hub=hub) == 0
    created, (name, files, message) = hub.calls
    assert created == ("me/model", "model", True)
    assert name == "me/model"
    assert files == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert message == "Upload out by atomforge export"
    assert "uploaded: https://hub.test/me/model/commit/1" in capsys.readouterr().out


def test_what_the_hub_refuses_is_one_line(saved, tmp_path, monkeypatch, capsys):
    def refused(*arguments, **settings) -> str:
        assert push(monkeypatch, saved[2], *arguments, **settings) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    out = tmp_path / "out"
    assert "--push me/model: no token of the Hugging Face hub" in refused(out, token=None)
    assert "--push model: name the repository as OWNER/NAME" in refused(out, "model")
    assert "--push me/a b: " in refused(out, "me/a b")
    assert not out.exists()  # refused before anything is written
    offline = FakeHub(ConnectionError("no route to huggingface.co"))
    assert f"--push me/model: no route to huggingface.co ({out} is complete)" in refused(out, hub=offline)
    assert (out / "config.json").exists()
