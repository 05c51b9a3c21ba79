"""The dispatcher: light imports, one line and an exit code for every kind of end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cli import main as cli_main
from cli.main import main
from executor.commands.errors import Interrupted, UsageError, explain

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def subcommand(monkeypatch: pytest.MonkeyPatch):
    """Put a function in place of `atomforge evaluate`."""

    def install(action) -> None:
        from cli.commands import evaluate

        monkeypatch.setattr(evaluate, "run", action)

    return install


ARGUMENTS = ["evaluate", "--checkpoint", "x", "--data", "x", "--split", "x"]


@pytest.mark.parametrize("arguments", [["--help"], ["evaluate", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        f"import sys; from cli.main import main; main({arguments!r}); "
        "print([m for m in ('torch', 'lightning', 'transformers', 'datasets', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"


def test_overview_names_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in cli_main.SUBCOMMANDS)


def test_unknown_subcommand_gets_a_near_match(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evalute"]) == 2
    assert capsys.readouterr().err == (
        "atomforge: error: unknown subcommand 'evalute'; did you mean 'evaluate'? (see `atomforge --help`)\n"
    )


def test_unknown_option_gets_a_near_match(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ARGUMENTS, "--num-sampels", "3"]) == 2
    assert capsys.readouterr().err == (
        "atomforge: error: unknown option --num-sampels; did you mean '--num-samples'? "
        "(see `atomforge evaluate --help`)\n"
    )


def test_user_error_is_one_line_and_debug_adds_the_traceback(subcommand, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(args) -> int:
        raise UsageError("first\n   second")

    subcommand(fail)
    assert main(ARGUMENTS) == 2
    assert capsys.readouterr().err == "atomforge: error: first second\n"
    assert main(["--debug", *ARGUMENTS]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_debug_by_environment(subcommand, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(args) -> int:
        raise UsageError("no")

    subcommand(fail)
    monkeypatch.setenv("ATOMFORGE_DEBUG", "1")
    assert main(ARGUMENTS) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_ours_keeps_its_traceback(subcommand) -> None:
    subcommand(lambda args: {}["missing"])
    with pytest.raises(KeyError):
        main(ARGUMENTS)


@pytest.mark.parametrize(
    ("interrupt", "line"),
    [
        (KeyboardInterrupt(), "interrupted; run the same command again to continue"),
        (Interrupted("interrupted; do this"), "interrupted; do this"),
    ],
)
def test_interrupt_is_130(interrupt, line: str, subcommand, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(args) -> int:
        raise interrupt

    subcommand(stop)
    assert main(ARGUMENTS) == 130
    assert capsys.readouterr().err == f"\natomforge: {line}\n"


def test_value_error_is_the_users_only_where_our_code_raises_it() -> None:
    from cli.config.resume import read_checkpoint_facts
    from lightning_modules.training.checkpointing import RunCheckpoint

    def caught(action) -> BaseException:
        try:
            action()
        except Exception as error:
            return error
        raise AssertionError("nothing was raised")

    assert (
        explain(caught(lambda: RunCheckpoint("x", keep_last_n=0)))
        == "checkpoint.keep_last_n is 0; it must be at least 1"
    )
    assert explain(caught(lambda: read_checkpoint_facts("/nowhere"))) == "no checkpoint at /nowhere"
    assert explain(caught(lambda: int("x"))) is None  # raised in a file that is not ours
    os_error = caught(lambda: open("/nowhere/at/all"))  # noqa: SIM115
    assert explain(os_error) == "no such file or directory: /nowhere/at/all"


def test_value_error_of_a_builtin_in_our_code_is_a_fault_of_ours(tmp_path: Path) -> None:
    from cli.config.resume import read_checkpoint_facts

    torch.save({"global_step": "no number"}, tmp_path / "odd.ckpt")
    with pytest.raises(ValueError, match="invalid literal") as caught:
        read_checkpoint_facts(tmp_path / "odd.ckpt")
    assert explain(caught.value) is None


def test_console_script_exit_code() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "nonsense"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_a_failing_clean_up_after_ctrl_c_is_still_an_interruption(monkeypatch, capsys):
    from cli.config import cli as lightning_cli

    def interrupted_between_epochs(*_):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise RuntimeError("Please call `iter(combined_loader)` first.")  # noqa: B904 (as Lightning does)

    monkeypatch.setattr(lightning_cli, "build_run_from_arguments", interrupted_between_epochs)
    assert main(["fit", "--config", "any.yaml"]) == 130
    assert capsys.readouterr().err.strip().endswith("`--ckpt_path last` to resume")


def test_a_fault_without_ctrl_c_stays_a_fault(monkeypatch):
    from cli.config import cli as lightning_cli

    def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(lightning_cli, "build_run_from_arguments", broken)
    with pytest.raises(RuntimeError, match="broken"):
        main(["fit", "--config", "any.yaml"])


def test_a_full_gpu_is_one_line_that_names_keys(monkeypatch, capsys):
    from cli.config import cli as lightning_cli

    text = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1 GiB\nfree. See documentation for Memory"

    def full(*_):
        raise torch.OutOfMemoryError(text)

    monkeypatch.setattr(lightning_cli, "build_run_from_arguments", full)
    assert main(["fit", "--config", "any.yaml"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "trainer.accumulate_grad_batches" in error
    assert error.endswith("(CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1 GiB free)\n")
