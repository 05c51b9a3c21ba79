"""The completion script in a real bash: what the tab key offers."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.commands.completion import SHELLS, build_parser
from cli.main import SUBCOMMANDS, main

RL = sorted((Path(__file__).resolve().parents[2] / "configs" / "rl").glob("*.yaml"))
ASK = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_shtab_atomforge
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "atomforge.bash"
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "completion", "bash"], capture_output=True, text=True, check=True
    )
    path.write_text(done.stdout)
    return path


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("stu",), {"study"}),
        (("completion", "z"), {"zsh"}),
        (("fit", "--config", "rl/"), {f"rl/{path.stem}" for path in RL}),
        (("fit", "--model.init_args.optimizer.l"), {"--model.init_args.optimizer.lr"}),
        (("fit", "--trainer.max_ep"), {"--trainer.max_epochs"}),
        (("evaluate", "--num-"), {"--num-tasks", "--num-samples"}),
        (("submit", "--print"), {"--print-script"}),
    ],
)
def test_the_tab_key_offers(script: Path, words: tuple[str, ...], offered: set[str]) -> None:
    done = subprocess.run(
        ["bash", "-c", ASK, "ask", str(script), "atomforge", *words], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == offered


def test_every_subcommand_is_completed() -> None:
    [subparsers] = [action for action in build_parser()._actions if action.dest == "subcommand"]
    assert subparsers.choices is not None
    assert set(subparsers.choices) == set(SUBCOMMANDS)


@pytest.mark.parametrize("shell", SHELLS)
def test_there_is_a_script_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "atomforge" in capsys.readouterr().out
