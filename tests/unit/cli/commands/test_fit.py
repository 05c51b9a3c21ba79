"""`atomforge fit` end to end on a model of four weights: run directory, checkpoints, resume, curves."""

import os
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch.trainer.connectors.logger_connector import _LoggerConnector

from cli.config import cli as config_cli
from cli.main import main
from lightning_modules.models.forward import autotune as machine_settings
from lightning_modules.models.forward.autotune import CpuBenchmark
from lightning_modules.training.checkpointing import is_finished, list_checkpoints
from tests.support.toy_run import Toy, curves, fit, in_tmp, weights  # noqa: F401

SFT = "lightning_modules.sft_module.SFTModule"

pytestmark = pytest.mark.usefixtures("in_tmp")


def test_a_run_leaves_config_curves_and_checkpoints_in_its_directory() -> None:
    assert fit() == 0
    names = {path.name for path in Path("run").iterdir()}
    files = {"config.yaml", "hparams.yaml", "machine.yaml", "metrics.jsonl", "result.json", "checkpoints"}
    assert {name for name in names if not name.startswith("events.")} == files
    assert len(names - files) == 1
    assert [path.name for path in list_checkpoints("run")] == ["epoch_00003.ckpt", "epoch_00004.ckpt"]
    assert os.readlink("run/checkpoints/last.ckpt") == os.readlink("run/checkpoints/final.ckpt") == "epoch_00004.ckpt"
    assert [step for step, _ in curves("run")["train/loss_step"]] == list(range(12))
    assert [step for step, _ in curves("run")["val/loss"]] == [2, 5, 8, 11]
    assert yaml.safe_load(Path("run/config.yaml").read_text())["model"]["init_args"] == {
        "width": 3,
        "learning_rate": 0.1,
        "betas": [0.9, 0.999],
    }


def test_one_line_says_what_is_trained(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("--trainer.enable_model_summary", "null", "--trainer.max_epochs", "1") == 0
    said = capsys.readouterr()
    assert "4 weights, all of them trained; curves: tensorboard --logdir run\n" in said.err
    assert "FLOPs" not in said.out + said.err


def test_ctrl_c_and_resume_are_as_if_never_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("--run_dir=whole") == 0
    Toy.interrupt_at_step = 7  # the second step of the third epoch
    assert fit() == 130
    assert "run the same command again with `--ckpt_path last`" in capsys.readouterr().err
    assert [path.name for path in list_checkpoints("run")] == ["epoch_00001.ckpt", "epoch_00002.ckpt"]
    assert not is_finished("run")
    assert curves("run")["train/loss_step"][-1][0] == 6  # a point beyond the checkpoint, to be forgotten
    Toy.interrupt_at_step = None
    assert fit("--ckpt_path", "last") == 0
    assert is_finished("run")
    assert len(list(Path("run").glob("events.*"))) == 2
    expected = weights("whole")
    assert all(torch.equal(value, expected[name]) for name, value in weights("run").items())
    assert curves("run") == curves("whole")


def test_same_command_with_last_serves_start_and_restart(capsys: pytest.CaptureFixture[str]) -> None:
    Toy.interrupt_at_step = 1
    assert fit("--ckpt_path=last") == 130
    assert "atomforge: interrupted; run the same command again" in capsys.readouterr().err
    Toy.interrupt_at_step = None
    assert fit("--ckpt_path=last") == 0
    assert [step for step, _ in curves("run")["train/loss_step"]] == list(range(12))


def test_fit_on_a_used_directory_is_refused_with_both_ways_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("--trainer.max_epochs=1") == 0
    capsys.readouterr()
    assert fit() == 2
    error = capsys.readouterr().err
    assert [word for word in ("epoch_00001.ckpt", "--ckpt_path last", "--run_dir") if word not in error] == []


def test_resume_with_another_model_data_or_seed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("--trainer.max_epochs=1") == 0
    capsys.readouterr()
    changes = ["--model.init_args.learning_rate=0.2", "--data.init_args.width=4", "--seed_everything=2"]
    assert fit("--ckpt_path=last", *changes) == 2
    changed = "(seed_everything: 1 -> 2; model.init_args.learning_rate: 0.1 -> 0.2; data.init_args.width: 3 -> 4)"
    error = capsys.readouterr().err
    assert "run/checkpoints/epoch_00001.ckpt" in error
    assert changed in error


def test_a_longer_run_goes_on_and_is_finished_only_at_its_new_end() -> None:
    assert fit("--trainer.max_epochs=2") == 0
    assert is_finished("run")
    Toy.interrupt_at_step = 7
    assert fit("--ckpt_path=last") == 130
    assert not is_finished("run")
    Toy.interrupt_at_step = None
    assert fit("--ckpt_path=last") == 0
    assert is_finished("run")
    assert yaml.safe_load(Path("run/config.yaml").read_text())["trainer"]["max_epochs"] == 4


def test_a_run_killed_between_its_last_checkpoint_and_its_end_is_finished_by_a_restart() -> None:
    assert fit() == 0
    Path("run/checkpoints/final.ckpt").unlink()
    before = curves("run")
    assert fit("--ckpt_path=last") == 0
    assert is_finished("run")
    assert curves("run") == before


def test_which_checkpoints_stay() -> None:
    keys = ["--checkpoint.every_n_epochs=2", "--checkpoint.keep_last_n=1", "--checkpoint.keep_every_n_epochs=4"]
    assert fit("--trainer.max_epochs=7", *keys) == 0
    assert [path.name for path in list_checkpoints("run")] == ["epoch_00004.ckpt", "epoch_00007.ckpt"]


def test_a_save_that_dies_leaves_the_last_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    save, num_saves = torch.save, 0

    def dies_at_the_third(content, path) -> None:
        nonlocal num_saves
        num_saves += 1
        if num_saves == 3:
            Path(path).write_bytes(b"half")
            raise OSError("disk gone")
        save(content, path)

    monkeypatch.setattr(torch, "save", dies_at_the_third)
    with pytest.raises(OSError, match="disk gone"):
        fit()
    folder = Path("run/checkpoints")
    assert [path.name for path in list_checkpoints("run")] == ["epoch_00001.ckpt", "epoch_00002.ckpt"]
    assert os.readlink(folder / "last.ckpt") == "epoch_00002.ckpt"
    assert (folder / ".epoch_00003.ckpt.tmp").exists()
    assert fit("--ckpt_path=last") == 0
    assert not list(folder.glob(".*"))
    assert is_finished("run")


def test_later_configs_and_options_win_and_threads_are_set() -> None:
    Path("overlay.yaml").write_text(
        "trainer: {max_epochs: 2}\nmodel: {init_args: {learning_rate: 0.3}}\nnum_threads: 1\n"
    )
    assert fit("--config", "overlay.yaml", "--trainer.max_epochs=1") == 0
    resolved = yaml.safe_load(Path("run/config.yaml").read_text())
    assert resolved["trainer"]["max_epochs"] == 1
    assert resolved["model"]["init_args"] == {"width": 3, "learning_rate": 0.3, "betas": [0.9, 0.999]}
    assert resolved["num_threads"] == torch.get_num_threads() == 1


def test_a_run_killed_right_after_a_checkpoint_keeps_the_epoch_s_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning logs an epoch's means after the hook that saves; they belong to the checkpoint all the same."""
    assert fit("--run_dir=whole") == 0
    log_means, num_calls = _LoggerConnector.update_train_epoch_metrics, 0

    def dies_at_the_second(connector) -> None:
        nonlocal num_calls
        num_calls += 1
        if num_calls == 2:
            raise KeyboardInterrupt
        log_means(connector)

    monkeypatch.setattr(_LoggerConnector, "update_train_epoch_metrics", dies_at_the_second)
    assert fit() == 130
    assert [path.name for path in list_checkpoints("run")] == ["epoch_00001.ckpt", "epoch_00002.ckpt"]
    assert fit("--ckpt_path=last") == 0
    assert [step for step, _ in curves("whole")["train/loss_epoch"]] == [2, 5, 8, 11]
    assert curves("run") == curves("whole")


def test_threads_and_precision_are_measured_once_and_read_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = yaml.safe_load(Path("base.yaml").read_text())
    base["num_threads"] = base["trainer"]["precision"] = None
    Path("base.yaml").write_text(yaml.safe_dump(base))
    found = CpuBenchmark(num_threads=2, has_fast_bf16=True, step_s={1: 0.3, 2: 0.1}, bf16_speedup=2.0)
    monkeypatch.setattr(machine_settings, "benchmark_cpu", lambda max_threads: found)
    precisions: list[str] = []
    monkeypatch.setattr(Toy, "on_fit_start", lambda self: precisions.append(str(self.trainer.precision)))
    assert fit("--trainer.max_epochs=1") == 0
    assert torch.get_num_threads() == 2
    other = CpuBenchmark(num_threads=1, has_fast_bf16=False, step_s={1: 0.1, 2: 0.1}, bf16_speedup=1.0)
    monkeypatch.setattr(machine_settings, "benchmark_cpu", lambda max_threads: other)
    torch.set_num_threads(1)
    assert fit("--trainer.max_epochs=2", "--ckpt_path=last") == 0
    assert torch.get_num_threads() == 2
    assert "atomforge: note" not in capsys.readouterr().err
    assert fit("--trainer.max_epochs=3", "--ckpt_path=last", "--trainer.precision=32-true") == 0
    assert precisions == ["bf16-mixed", "bf16-mixed", "32-true"]
    assert "note: trainer.precision is 32-true; the run had bf16-mixed" in capsys.readouterr().err
    assert yaml.safe_load(Path("run/machine.yaml").read_text()) == {
        "num_threads": 2,
        "precision": "32-true",
        "measured": {"step_s_by_threads": {1: 0.3, 2: 0.1}, "cpu_bf16_gain": 2.0},
        "executor": None,
    }
    torch.set_num_threads(1)
    assert main(["validate", "--config", "base.yaml", "--ckpt_path=last"]) == 0
    assert torch.get_num_threads() == 2


def test_only_the_newest_checkpoint_of_a_directory_goes_on_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit() == 0
    capsys.readouterr()
    assert fit("--ckpt_path=run/checkpoints/epoch_00003.ckpt") == 2
    error = capsys.readouterr().err
    assert "run already holds epoch_00004.ckpt" in error
    assert "run/checkpoints/epoch_00003.ckpt" in error
    assert fit("--ckpt_path=run/checkpoints/epoch_00003.ckpt", "--run_dir=branch") == 0
    assert is_finished("branch")
    assert fit("--ckpt_path=branch/checkpoints/last.ckpt") == 2
    assert fit("--ckpt_path=run/checkpoints/last.ckpt", "--trainer.max_epochs=5") == 0


def test_the_resolved_config_starts_the_same_run_again() -> None:
    assert fit() == 0
    assert main(["fit", "--config", "run/config.yaml", "--run_dir=again"]) == 0
    assert curves("again") == curves("run")


def test_a_damaged_checkpoint_is_named_with_the_way_round_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("--trainer.max_epochs=2") == 0
    damaged = Path("run/checkpoints/epoch_00002.ckpt")
    damaged.write_bytes(damaged.read_bytes()[:100])
    capsys.readouterr()
    assert fit("--ckpt_path=last") == 2
    error = capsys.readouterr().err
    assert "run/checkpoints/epoch_00002.ckpt is damaged" in error
    assert "epoch_00001.ckpt" in error
    damaged.unlink()
    assert fit("--ckpt_path=last") == 0
    assert [path.name for path in list_checkpoints("run")] == ["epoch_00003.ckpt", "epoch_00004.ckpt"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--checkpoint.keep_last_n=0"], "checkpoint.keep_last_n is 0; it must be at least 1"),
        (["--num_threads=0"], "num_threads is 0; it must be at least 1, or null"),
        (["--seed_everything=-1"], "seed_everything is -1; it must be a whole number from 0 to 4294967295"),
        (
            ["--trainer.check_val_every_n_epoch=0"],
            "trainer.check_val_every_n_epoch is 0; it must be at least 1 (`--trainer.limit_val_batches 0` turns "
            "validation off)",
        ),
        (["--model.init_args.width=x"], "command line: model.init_args.width is 'x'; expected int"),
        (["--trainer.max_epochs", "x"], "command line: trainer.max_epochs is 'x'; expected int or null"),
        (
            [f"--model.class_path={SFT}", "--model.init_args.architecture.hidden_size=30"],
            "architecture: hidden_size 30 must be a multiple of twice num_heads 4",
        ),
        (
            [f"--model.class_path={SFT}", "--model.init_args.executor_backend=dokcer"],
            "executor_backend is 'dokcer': it must be one of per_node, auto, docker, bubblewrap, process, http://HOST:PORT"
            ", http+unix:///SOCKET, my_module.MyBackend",
        ),
        (["--run_dir", "base.yaml/x"], "cannot create run_dir base.yaml/x: Not a directory"),
        (["--ckpt_path", "base.yaml"], "base.yaml is damaged or not a checkpoint (RuntimeError)"),
    ],
)
def test_values_that_cannot_be(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(*arguments) == 2
    errors = [text for text in capsys.readouterr().err.splitlines() if "Seed set" not in text]
    assert errors == [f"atomforge: error: {line}"]


def test_an_unused_gpu_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerators: list[str] = []
    monkeypatch.setattr(config_cli, "note_unused_gpu", accelerators.append)
    assert fit("--trainer.max_epochs", "1") == 0
    assert len(accelerators) == 1
