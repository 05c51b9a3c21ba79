"""`atomforge completion`: a script with which the shell completes subcommands, options and the names of configs.

The script contains all words, so pressing the tab key starts no Python. Write it again after an update.
"""

import argparse
import inspect
from typing import Any

from cli.config.files import flatten, list_shipped, read_yaml

SHELLS = ("bash", "zsh", "tcsh")
_HOW = {
    "bash": "source <(atomforge completion bash)     # in ~/.bashrc to keep it",
    "zsh": "atomforge completion zsh > DIRECTORY_OF_FPATH/_atomforge",
    "tcsh": "atomforge completion tcsh > ~/.atomforge.tcsh && source ~/.atomforge.tcsh",
}


def add_parser(subparsers: Any) -> None:
    """Add the `completion` subcommand to an argparse subparsers object."""
    how = "; ".join(f"{shell}: {line}" for shell, line in _HOW.items())
    parser = subparsers.add_parser(
        "completion",
        help="print a shell completion script for subcommands, options and configs",
        description=f"Print a completion script. {how}",
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(args: argparse.Namespace) -> int:
    """Print the script; returns 0."""
    import shtab

    names = " ".join(list_shipped())
    preamble = {
        "bash": f'_atomforge_configs() {{ compgen -W "{names}" -- "$1"; compgen -f -- "$1"; }}\n',
        "zsh": f"_atomforge_configs() {{ compadd -- {names}; _files; }}\n",
        "tcsh": "",
    }
    print(shtab.complete(build_parser(), shell=args.shell, preamble=preamble[args.shell]))
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Build one parser of all subcommands with all their options."""
    from cli.commands import submit
    from cli.main import LIGHTNING_SUBCOMMANDS, SUBCOMMANDS, import_command

    parser = argparse.ArgumentParser(prog="atomforge", allow_abbrev=False)
    parser.add_argument("--debug", action="store_true", help="print the traceback of an error")
    subparsers = parser.add_subparsers(dest="subcommand")
    for name, text in SUBCOMMANDS.items():
        if name in LIGHTNING_SUBCOMMANDS:
            training = subparsers.add_parser(name, help=text)
            for option in _list_training_options():
                training.add_argument(option)
        elif name == "submit":
            subparsers.add_parser(name, help=text, parents=[submit.options()], add_help=False)
        else:
            import_command(name).add_parser(subparsers)
    complete = {"bash": "_atomforge_configs", "zsh": "_atomforge_configs", "tcsh": "f"}
    for subparser in subparsers.choices.values():
        for action in subparser._actions:
            if "--config" in action.option_strings:
                action.complete = complete  # type: ignore[attr-defined]  # shtab reads this attribute
    return parser


def _list_training_options() -> list[str]:
    """List the keys of the Trainer and of the two shipped training configs."""
    from lightning.pytorch import Trainer

    keys = {f"trainer.{name}" for name in inspect.signature(Trainer).parameters}
    for name in ("sft", "ppo"):
        keys |= set(flatten(read_yaml(name)))
    return ["--config", "--ckpt_path", "--print_config", *(f"--{key}" for key in sorted(keys))]
