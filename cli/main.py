"""The `atomforge` command: choose the subcommand, run it, turn its errors into one line and an exit code.

Exit codes: 0 done; 1 a check found something, or an internal fault; 2 the request was wrong; 130 interrupted. Heavy
imports belong to the subcommands; only the module of the chosen one is imported.
"""

import argparse
import importlib
import os
import sys
import traceback
from typing import NoReturn

from cli.errors import Interrupted, UsageError, did_you_mean, explain

SUBCOMMANDS = {
    "doctor": "what works on this machine, and the line that mends what does not",
    "fit": "train a model (SFT or PPO) from YAML configs",
    "validate": "run the validation of a config on a checkpoint",
    "test": "run the test of a config on a checkpoint",
    "evaluate": "sample programs from a checkpoint, run them, print pass@k",
    "export": "write a checkpoint as a plain Hugging Face folder",
    "synthesize": "build a data set of composed tasks",
    "audit": "recompute the overlaps between the splits of a data set",
    "convert": "turn rows of a public code data set into task rows",
    "grade": "grade completions from anywhere against tasks",
    "executor": "build the image of the Docker sandboxes",
    "serve": "run and grade programs for others over HTTP",
    "study": "train and evaluate all arms of a study",
    "report": "make the report of a study, HTML and Markdown",
    "submit": "hand a training, an evaluation or a study in to Slurm",
    "jobs": "state and last numbers of submitted jobs",
    "demo": "the whole way at small size: data, SFT, PPO, evaluation",
    "completion": "a script that completes subcommands, options and configs",
}
LIGHTNING_SUBCOMMANDS = ("fit", "validate", "test")
INTERRUPTED = "interrupted; run the same command again to go on"


class LineParser(argparse.ArgumentParser):
    """An argument parser whose errors are raised, and which takes no abbreviated options."""

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def main(argv: list[str] | None = None) -> int:
    """Run `atomforge` with these arguments (default: those of the process) and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments or os.environ.get("ATOMFORGE_DEBUG") == "1"
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        return dispatch(arguments)
    except KeyboardInterrupt as interrupt:
        if debug:
            traceback.print_exc()
        line = str(interrupt) if isinstance(interrupt, Interrupted) else INTERRUPTED
        print(f"\natomforge: {line}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`atomforge ... | head`); keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        if debug:
            traceback.print_exc()
        print(f"atomforge: error: {line}", file=sys.stderr)
        return 2


def dispatch(arguments: list[str]) -> int:
    """Run a subcommand and return its exit code; errors and interrupts pass through.

    Raises:
        UsageError: no such subcommand or option.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in SUBCOMMANDS:
        raise UsageError(f"unknown subcommand {name!r}{did_you_mean(name, SUBCOMMANDS)} (see `atomforge --help`)")
    if name in LIGHTNING_SUBCOMMANDS:
        from cli.commands import fit

        return fit.run(name, rest)
    module = importlib.import_module(f"cli.commands.{name}")
    if name == "submit":  # it takes the options of other subcommands, too
        try:
            return module.run_words(rest)
        except SystemExit as leave:
            return int(leave.code or 0)
    parser = LineParser(prog="atomforge")
    subparsers = parser.add_subparsers(dest="subcommand")
    module.add_parser(subparsers)
    options = list(subparsers.choices[name]._option_string_actions)
    for word in (argument.split("=")[0] for argument in rest if argument.startswith("--")):
        if word not in options:  # said before argparse finds a required option missing
            raise UsageError(f"unknown option {word}{did_you_mean(word, options)} (see `atomforge {name} --help`)")
    try:
        parsed = parser.parse_args(arguments)
    except SystemExit as leave:  # after --help
        return int(leave.code or 0)
    return module.run(parsed)


def _overview() -> str:
    width = max(map(len, SUBCOMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in SUBCOMMANDS.items()]
    return "\n".join(
        [
            "usage: atomforge SUBCOMMAND ... [--debug]",
            "",
            "From atomic functions to composed tasks, SFT, PPO and pass@k.",
            "",
            *lines,
            "",
            "`atomforge SUBCOMMAND --help` says more. --debug (or ATOMFORGE_DEBUG=1) shows the traceback of an error.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
