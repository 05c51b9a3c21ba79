"""`atomforge validate` and `test`: which model they judge, and what they print."""

from pathlib import Path

import pytest

from cli.main import main
from cli.progress import format_metrics
from tests.support.toy_run import curves, fit, in_tmp  # noqa: F401

pytestmark = pytest.mark.usefixtures("in_tmp")


def test_the_given_config_wins_over_the_checkpoint_in_validate(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("--trainer.max_epochs=1") == 0
    capsys.readouterr()
    wider = ["--model.init_args.width=4", "--data.init_args.width=4"]
    assert main(["validate", "--config", "base.yaml", "--ckpt_path=last", *wider]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("atomforge:")]
    assert lines[0] == "atomforge: note: differs from the checkpoint's config: model.init_args.width: 3 -> 4"
    assert lines[-1].startswith("atomforge: error: run/checkpoints/epoch_00001.ckpt is the checkpoint of another model")
    before = curves("run")
    assert main(["validate", "--config", "base.yaml", "--ckpt_path=last"]) == 0
    assert curves("run") == before
    assert list(Path("run/validate").glob("events.*"))


@pytest.mark.parametrize("subcommand", ["validate", "test"])
def test_untrained_weights_are_not_evaluated(subcommand: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([subcommand, "--config", "base.yaml"]) == 2
    error = capsys.readouterr().err
    assert [word for word in (subcommand, "--ckpt_path last", "run") if word not in error] == []


def test_a_run_stands_for_its_newest_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit() == 0
    shown = []
    for given in ("last", "run", "run/checkpoints/epoch_00003.ckpt"):
        capsys.readouterr()
        assert main(["validate", "--config", "base.yaml", "--ckpt_path", given]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] == f"val/loss  {curves('run')['val/loss'][-1][1]:.4g}\n"
    assert shown[2] == f"val/loss  {curves('run')['val/loss'][-2][1]:.4g}\n" != shown[0]


def test_metrics_are_lines_by_name_without_failures_that_never_occurred() -> None:
    metrics = {"loss/val": 0.34712, "status/a/wrong": 0.25, "status/a/crash": 0.0, "pass_at_k/a/greedy": 0.0}
    assert format_metrics(metrics) == [
        "loss/val            0.3471",
        "pass_at_k/a/greedy  0",
        "status/a/wrong      0.25",
    ]
    assert format_metrics({}) == []
