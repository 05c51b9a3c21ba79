"""`atomforge completion`: a script with which the shell completes subcommands, options and the names of configs.

The script holds what it completes, so pressing the tab key starts no Python. It is made anew after an update.
"""

import argparse
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from cli.config.files import list_shipped, read_yaml

SHELLS = ("bash", "zsh", "tcsh")
_HOW = {
    "bash": "source <(atomforge completion bash)     # in ~/.bashrc to keep it",
    "zsh": "atomforge completion zsh > DIRECTORY_OF_FPATH/_atomforge",
    "tcsh": "atomforge completion tcsh > ~/.atomforge.tcsh && source ~/.atomforge.tcsh",
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the options of `completion`."""
    how = "; ".join(f"{shell}: {line}" for shell, line in _HOW.items())
    parser = subparsers.add_parser(
        "completion",
        help="a script that completes subcommands, options and configs",
        description=f"Print a completion script. {how}",
    )
    parser.add_argument("shell", choices=SHELLS, help="which shell it is for")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    names = " ".join(list_shipped())
    preamble = {
        "bash": f'_atomforge_configs() {{ compgen -W "{names}" -- "$1"; compgen -f -- "$1"; }}\n',
        "zsh": f"_atomforge_configs() {{ compadd -- {names}; _files; }}\n",
        "tcsh": "",
    }
    print(shtab.complete(whole_parser(), shell=args.shell, preamble=preamble[args.shell]))
    return 0


def whole_parser() -> argparse.ArgumentParser:
    """Put the parsers of all subcommands under one, with every option that they take."""
    from cli.commands import submit
    from cli.main import LIGHTNING_SUBCOMMANDS, SUBCOMMANDS, import_command

    parser = argparse.ArgumentParser(prog="atomforge", allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(dest="subcommand")
    for name, text in SUBCOMMANDS.items():
        if name in LIGHTNING_SUBCOMMANDS:
            training = subparsers.add_parser(name, help=text)
            for option in _training_options():
                training.add_argument(option)
        elif name == "submit":
            subparsers.add_parser(name, help=text, parents=[submit.options()], add_help=False)
        else:
            import_command(name).add_parser(subparsers)
    complete = {"bash": "_atomforge_configs", "zsh": "_atomforge_configs", "tcsh": "f"}
    for subparser in subparsers.choices.values():
        for action in subparser._actions:
            if "--config" in action.option_strings:
                action.complete = complete  # type: ignore[attr-defined]  # where shtab looks for it
    return parser


def _training_options() -> list[str]:
    """List the keys of the Trainer and those of the two shipped trainings."""
    from lightning.pytorch import Trainer

    keys = {f"trainer.{name}" for name in inspect.signature(Trainer).parameters}
    for name in ("sft", "ppo"):
        keys |= set(_leaves(read_yaml(name)))
    return ["--config", "--ckpt_path", "--print_config", *(f"--{key}" for key in sorted(keys))]


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value and key != "mixture":
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
