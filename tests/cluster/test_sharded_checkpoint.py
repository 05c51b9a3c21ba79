"""A checkpoint sharded over two ranks is a model for one process: policy, export, and what is refused."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from cli.main import main
from lightning_modules.models.loading import load_policy
from lightning_modules.models.sharded_checkpoints import is_sharded, read_weights
from tests.support.preloaded import run_ranks

IDS = torch.tensor([[5, 9, 11, 7, 3]])


def sharded(kind: str, scratch: Path) -> Path:
    """Train on two ranks; give the run directory, which holds the logits of the trained policy as well."""
    run_ranks("tests.cluster.save_sharded", [kind, str(scratch / kind)], 2, folder=scratch)
    return scratch / kind


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    return sharded("tied", tmp_path_factory.mktemp("runs"))


@pytest.fixture
def broken(tied, tmp_path):
    """Copy the checkpoint, for a test to damage."""
    return Path(shutil.copytree(tied / "checkpoints" / "epoch_00001.ckpt", tmp_path / "broken.ckpt"))


def assert_loads(run: Path) -> None:
    causal_lm, tokenizer = load_policy(run)
    with torch.no_grad():
        logits = causal_lm(IDS).logits[0]
    torch.testing.assert_close(logits, torch.load(run / "logits.pt", weights_only=True), rtol=0, atol=1e-5)
    assert tokenizer.eos_token_id is not None
    assert not torch.distributed.is_initialized()


def test_the_trained_policy_is_loaded(tied):
    checkpoint = tied / "checkpoints" / "epoch_00001.ckpt"
    assert is_sharded(checkpoint)
    assert not is_sharded(tied)
    assert_loads(tied)


def test_an_output_layer_of_its_own_is_loaded(tmp_path):
    assert_loads(sharded("untied", tmp_path))


def test_nothing_but_the_prefix_is_read(tied):
    value_head = read_weights(tied / "checkpoints" / "epoch_00001.ckpt", "policy.value_head.")
    assert {name: tuple(value.shape) for name, value in value_head.items()} == {
        "policy.value_head.weight": (1, 32),
        "policy.value_head.bias": (1,),
    }


def test_export(tied, tmp_path):
    checkpoint = tied / "checkpoints" / "epoch_00001.ckpt"
    assert main(["export", "--checkpoint", str(checkpoint), "--output", str(tmp_path / "out")]) == 0
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(tmp_path / "out")(IDS).logits[0]
    torch.testing.assert_close(logits, torch.load(tied / "logits.pt", weights_only=True), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [".metadata", "__1_0.distcp"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["missing", "empty"])
def test_missing_and_damaged_shards_are_one_line(broken, name, damage):
    damage(broken / name)
    with pytest.raises(ValueError, match=r"broken\.ckpt is a sharded checkpoint with missing or damaged files$"):
        load_policy(broken)


def test_a_pickle_in_place_of_the_metadata_is_not_run(broken, tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    (broken / ".metadata").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ValueError, match="missing or damaged files"):
        load_policy(broken)
    assert not (tmp_path / "harm").exists()


def test_a_folder_of_another_project_is_one_line(broken):
    torch.save({"global_step": 1}, broken / "meta.pt")
    with pytest.raises(ValueError, match="is not a checkpoint of this project"):
        load_policy(broken)
