"""Every command on every page is one that exists: subcommands, options, keys, their types, configs, scripts, verbs."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from cli.commands.submit import options
from cli.main import LIGHTNING_SUBCOMMANDS, SUBCOMMANDS, import_command, main
from executor.api import BACKENDS
from executor.commands.main import CommandParser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), ROOT / "executor" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"```bash\n(.*?)```", re.S)
SPAN = re.compile(r"`(atomforge [^`]+)`")
WITH_A_GAP = re.compile(r"\.\.\.|[\[<|]")  # `atomforge fit ... --ckpt_path last`: words stand for others


def commands_of(text: str) -> list[str]:
    """Collect the commands of a page, continued lines joined, shell variables of the same block put in."""
    commands = []
    for block in BLOCK.findall(text):
        variables = dict(re.findall(r'^(\w+)="(.*)"$', block, re.M))
        for line in block.replace("\\\n", " ").splitlines():
            for name, value in variables.items():
                line = line.replace(f"${name}", value)
            commands.append(line.strip())
    spans = [span for span in SPAN.findall(text) if re.search(r" --?\w+ \w", span)]  # others name but a part
    return [line for line in commands + spans if not WITH_A_GAP.search(line.partition("#")[0])]


def list_commands(program: str) -> list[tuple[str, ...]]:
    """List the commands of one program with the page that has them, each once."""
    found: dict[tuple[str, ...], str] = {}
    for page in PAGES:
        for line in commands_of(page.read_text(encoding="utf-8")):
            if line.startswith(f"{program} "):
                found.setdefault(tuple(shlex.split(line, comments=True)[1:]), str(page.relative_to(ROOT)))
    return [(page, *words) for words, page in found.items()]


COMMANDS = list_commands("atomforge")


def test_there_are_many() -> None:
    assert len(COMMANDS) > 50
    assert {words[1] for words in COMMANDS} >= {"fit", "evaluate", "synthesize", "submit", "study", "report", "serve"}


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words)[:90])
def test_every_command_is_understood(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page, name, *rest = words
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    assert name in SUBCOMMANDS, page
    if name in LIGHTNING_SUBCOMMANDS:
        assert main([name, *rest, "--print_config"]) == 0, f"{page}: {capsys.readouterr().err}"
    elif name == "submit" and rest[0] == "study":  # its script needs the data set, which is built for it
        assert not [word for word in options().parse_known_args(rest[1:])[1] if word != "--print-script"]
    elif name == "submit":
        assert main([name, *rest, "--print-script"]) == 0, f"{page}: {capsys.readouterr().err}"
    else:
        parser = CommandParser(prog="atomforge")
        import_command(name).add_parser(parser.add_subparsers())
        parser.parse_args([name, *rest])
    for config in (rest[at + 1] for at, word in enumerate(rest[:-1]) if word == "--config"):
        assert not config.startswith("configs/") or (ROOT / config).exists(), f"{page}: {config}"


@pytest.mark.parametrize("words", list_commands("atomforge-executor"), ids=lambda words: " ".join(words)[:90])
def test_every_command_of_the_executor_is_understood(words: tuple[str, ...]) -> None:
    parser = CommandParser(prog="atomforge-executor")
    importlib.import_module(f"executor.commands.{words[1]}").add_parser(parser.add_subparsers())
    parser.parse_args(words[1:])


@pytest.mark.parametrize("command", ["evaluate", "demo", "synthesize", "audit", "grade"])
def test_help_lists_the_backends(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert main([command, "--help"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("--backend")]
    assert all(form in line for form in BACKENDS)


def test_help_of_fit_starts_with_its_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--help"]) == 0
    usage, _, details = capsys.readouterr().out.partition("\n")
    assert usage.endswith("atomforge fit --config FILE [--config FILE ...] [--KEY VALUE ...] [--ckpt_path last]")
    assert "rl/rloo" in details
    assert "--checkpoint.every_n_epochs" in details


def test_every_script_and_benchmark_exists() -> None:
    scripts = {words[1]: words[0] for words in list_commands("python") if words[1].endswith(".py")}
    assert not {script: page for script, page in scripts.items() if not (ROOT / script).exists()}
    pages = [*PAGES, *(ROOT / "benchmarks").rglob("*.py")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    modules = set(re.findall(r"python -m (benchmarks[.a-z_]*[a-z])\b", text))
    assert len(modules) >= 6
    assert not [name for name in modules if importlib.util.find_spec(name) is None]


def test_every_verb_of_make_exists() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert {words[1] for words in list_commands("make")} <= verbs
