"""Runs that end inside an epoch: what they leave, and how they go on."""

import os
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from cli.main import main
from executor.types import Status
from lightning_modules.models.loading import load_policy
from lightning_modules.training.checkpointing import is_finished, list_checkpoints
from tests.support.fake_executor import FakeExecutor, use_executor
from tests.support.small_data import write_small_data
from tests.support.tiny_runs import write_policy

COMMON = [
    "--num_threads=1", "--trainer.accelerator=cpu", "--trainer.precision=32-true", "--trainer.limit_val_batches=0",
    "--trainer.callbacks=[]", "--trainer.max_epochs=4", "--data.init_args.data_dir=small",
]  # fmt: skip
SFT = [
    "fit", "--config=sft", *COMMON, "--model.init_args.init_from=start",
    "--model.init_args.optimizer.schedule=constant",
    "--data.init_args.batch_size=4", "--data.init_args.max_length=64", "--data.init_args.steps_per_epoch=3",
]  # fmt: skip
RL = [  # three steps of the critic and three of the policy in an iteration
    "fit", "--config=ppo", *COMMON, "--model.init_args.init_from=start", "--model.init_args.sampling.max_new_tokens=8",
    "--data.init_args.prompts_per_iteration=3", "--data.init_args.samples_per_prompt=2",
    "--data.init_args.minibatch_size=2", "--data.init_args.num_sampled_reward_tests=0",
    "--model.init_args.critic.num_epochs=1", "--model.init_args.critic.warmup_iterations=0",
    "--model.init_args.critic.minibatch_size=2",
]  # fmt: skip


class StopAt(Callback):
    """Ends the run after a step, as `trainer.max_time` does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        trainer.should_stop = trainer.global_step == self.step


STOP = f"--trainer.callbacks=[{{{{class_path: {__name__}.StopAt, init_args: {{{{step: {{}}}}}}}}}}]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    data_dir = write_small_data(root / "small")
    write_policy(root / "start", data_dir, seed=0)
    return root


@pytest.fixture(autouse=True)
def in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = FakeExecutor(lambda submission: Status.PASSED if len(submission.completion) % 2 else Status.WRONG)
    use_executor(monkeypatch, judge)
    monkeypatch.chdir(folder)


def names(run_dir: str) -> list[str]:
    return [path.name for path in list_checkpoints(run_dir)]


def parameters(source: str) -> list[torch.Tensor]:
    return list(load_policy(source)[0].parameters())


def same(one: str, other: str) -> bool:
    return all(torch.equal(a, b) for a, b in zip(parameters(one), parameters(other), strict=True))


@pytest.mark.parametrize(("command", "num_steps"), [(SFT, 3), (RL, 6)], ids=["sft", "rl"])
def test_a_run_stopped_inside_an_epoch_goes_on_as_if_never_stopped(
    command: list[str], num_steps: int, tmp_path: Path
) -> None:
    straight, run = (str(tmp_path / name) for name in ("straight", "run"))
    assert main([*command, f"--run_dir={straight}"]) == 0
    assert main([*command, f"--run_dir={run}", STOP.format(num_steps + 1)]) == 0  # inside the second epoch
    assert names(run) == ["epoch_00001.ckpt"]
    assert not is_finished(run)
    assert same(run, f"{run}/checkpoints/epoch_00001.ckpt")
    assert main([*command, f"--run_dir={run}", "--ckpt_path=last"]) == 0
    assert torch.load(f"{run}/checkpoints/final.ckpt", weights_only=True)["global_step"] == 4 * num_steps
    assert same(run, straight)
    assert not (Path(run) / "checkpoints" / "partial.ckpt").exists()


def test_max_steps_inside_an_epoch_is_an_end_that_nothing_goes_on_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    straight, run = (str(tmp_path / name) for name in ("straight", "run"))
    assert main([*SFT, f"--run_dir={straight}"]) == 0
    assert main([*SFT, f"--run_dir={run}", "--trainer.max_steps=4"]) == 0
    assert is_finished(run)
    assert os.readlink(f"{run}/checkpoints/final.ckpt") == "partial.ckpt"
    assert os.readlink(f"{run}/checkpoints/last.ckpt") == "epoch_00001.ckpt"
    assert same(run, f"{run}/checkpoints/partial.ckpt")  # the model of the run is the one of its fourth step
    assert not same(run, f"{run}/checkpoints/epoch_00001.ckpt")
    capsys.readouterr()
    elsewhere = [*SFT, f"--run_dir={tmp_path / 'other'}", f"--ckpt_path={run}/checkpoints/final.ckpt"]
    assert main(elsewhere) == 2
    assert "final.ckpt was written inside an epoch" in capsys.readouterr().err
    assert main([*SFT, f"--run_dir={run}", "--ckpt_path=last"]) == 0
    assert same(run, straight)


def test_max_steps_before_the_first_epoch_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    assert main([*SFT, f"--run_dir={run}", "--trainer.max_steps=2"]) == 0
    assert names(run) == []
    assert not same(run, "start")
    capsys.readouterr()
    assert main([*SFT, f"--run_dir={run}"]) == 2
    assert f"{run} already holds partial.ckpt" in capsys.readouterr().err


def test_max_steps_at_the_end_of_an_epoch_is_an_end_like_any_other(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    assert main([*SFT, f"--run_dir={run}", "--trainer.max_steps=3"]) == 0
    assert names(run) == ["epoch_00001.ckpt"]
    assert os.readlink(f"{run}/checkpoints/final.ckpt") == "epoch_00001.ckpt"
