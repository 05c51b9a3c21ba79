"""What a kill can leave in `checkpoints`, and what a restart makes of it."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from lightning_modules.training.checkpointing import RunCheckpoint, list_checkpoints


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def trainer_at(num_epochs: int, written: list[str] | None = None) -> SimpleNamespace:
    """A Trainer that saves a file, or a folder of the files named."""

    def save(path: Path, weights_only: bool) -> None:
        if written is None:
            path.write_text("weights")
            return
        path.mkdir()
        for name in written:
            (path / name).write_text("part")

    return SimpleNamespace(
        current_epoch=num_epochs - 1, global_step=num_epochs, max_epochs=9, max_steps=-1, should_stop=False,
        fast_dev_run=False, is_global_zero=True, loggers=[], save_checkpoint=save,
        strategy=SimpleNamespace(barrier=lambda name: None),
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(is_last_batch=True))),
        _logger_connector=SimpleNamespace(metrics={"log": {}}),
    )  # fmt: skip


def save(run_dir: Path, num_epochs: int, written: list[str] | None = None) -> None:
    RunCheckpoint(str(run_dir)).on_train_epoch_end(trainer_at(num_epochs, written), None)  # type: ignore[arg-type]


def names(run_dir: Path) -> list[str]:
    return [path.name for path in list_checkpoints(run_dir)]


@pytest.mark.parametrize("missing", ["meta.pt", ".metadata"])
def test_a_sharded_checkpoint_without_metadata_does_not_count(tmp_path: Path, folder: Path, missing: str) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2, [name for name in ("meta.pt", ".metadata", "__0_0.distcp") if name != missing])
    assert names(tmp_path) == ["epoch_00001.ckpt"]
    assert os.readlink(folder / "last.ckpt") == "epoch_00001.ckpt"
    save(tmp_path, 2, ["meta.pt", ".metadata", "__0_0.distcp"])  # and it gives way to the whole one
    assert names(tmp_path) == ["epoch_00001.ckpt", "epoch_00002.ckpt"]
    assert os.readlink(folder / "last.ckpt") == "epoch_00002.ckpt"


def test_every_file_of_a_sharded_checkpoint_is_flushed_before_the_rename(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    save(tmp_path, 1, ["meta.pt", ".metadata", "__0_0.distcp", "__1_0.distcp"])
    unfinished = folder / ".epoch_00001.ckpt.tmp"
    parts = {str(unfinished / name) for name in ("meta.pt", ".metadata", "__0_0.distcp", "__1_0.distcp")}
    assert {str(unfinished), *parts} == set(flushed[:5])
    assert flushed[5] == str(folder)


def test_killed_between_rename_and_link(tmp_path: Path, folder: Path) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    (folder / "last.ckpt").unlink()
    (folder / "last.ckpt").symlink_to("epoch_00001.ckpt")  # as the kill left it
    callback, trainer = RunCheckpoint(str(tmp_path)), trainer_at(2)
    callback.on_train_start(trainer, None)  # type: ignore[arg-type]
    assert os.readlink(folder / "last.ckpt") == "epoch_00002.ckpt"
    callback.on_fit_end(trainer, None)  # type: ignore[arg-type]
    assert os.readlink(folder / "final.ckpt") == "epoch_00002.ckpt"


def test_killed_while_pruning(tmp_path: Path, folder: Path) -> None:
    """A sharded folder that is half removed has lost its claim, and a file that stayed goes with the next save."""
    for num_epochs in (1, 2):
        save(tmp_path, num_epochs, ["meta.pt", ".metadata"])
    (folder / "epoch_00001.ckpt" / ".metadata").unlink()
    assert names(tmp_path) == ["epoch_00002.ckpt"]
    save(tmp_path, 3, ["meta.pt", ".metadata"])
    save(tmp_path, 4, ["meta.pt", ".metadata"])
    assert sorted(path.name for path in folder.glob("epoch_*")) == ["epoch_00003.ckpt", "epoch_00004.ckpt"]


def test_a_link_to_a_pruned_file_is_mended(tmp_path: Path, folder: Path) -> None:
    save(tmp_path, 3)
    (folder / "last.ckpt").unlink()
    (folder / "last.ckpt").symlink_to("epoch_00001.ckpt")
    RunCheckpoint(str(tmp_path)).on_train_start(trainer_at(3), None)  # type: ignore[arg-type]
    assert (folder / "last.ckpt").resolve() == (folder / "epoch_00003.ckpt").resolve()
