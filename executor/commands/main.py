"""Run a subcommand of `atomforge-executor` or, for `cli.main`, of `atomforge`; turn errors into one line and a code.

Exit codes: 0 success; 1 a check found something, or an internal error; 2 a mistake in the request; 130 interrupted.
A command is a module with `add_parser(subparsers)` and `run(parsed)`. Only the module of the chosen command is
imported.
"""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Collection, Mapping
from types import ModuleType
from typing import NoReturn

from executor.commands.errors import Interrupted, UsageError, did_you_mean, explain

PROGRAM = "atomforge-executor"
COMMANDS = {
    "grade": "grade completions against tasks",
    "serve": "run and grade programs for other processes over HTTP",
    "convert": "convert rows of a public code dataset to task rows",
    "build": "build the image of the Docker sandboxes",
    "doctor": "check what works on this machine",
}
INTERRUPTED = "interrupted; run the same command again to continue"


class CommandParser(argparse.ArgumentParser):
    """An argument parser that raises its errors and accepts no abbreviated options."""

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
    """Run `atomforge-executor` with these arguments (default: those of the process) and return its exit code."""
    return run_program(PROGRAM, dispatch, argv)


def dispatch(arguments: list[str]) -> int:
    """Run a subcommand and return its exit code; errors and interrupts pass through.

    Raises:
        UsageError: unknown subcommand or option.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(format_overview(PROGRAM, "Run untrusted programs in sandboxes and grade them.", COMMANDS))
        return 0
    check_command(arguments[0], COMMANDS, program=PROGRAM)
    module = importlib.import_module(f"executor.commands.{arguments[0]}")
    return run_command(module, arguments, program=PROGRAM)


def run_program(program: str, dispatch: Callable[[list[str]], int], argv: list[str] | None) -> int:
    """Call `dispatch` with the arguments; print the error of a user as one line on standard error.

    Args:
        program: name of the program, the prefix of the line.
        dispatch: runs the command and returns an exit code.
        argv: arguments; None: those of the process. `--debug`, or ATOMFORGE_DEBUG=1, prints tracebacks.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments or os.environ.get("ATOMFORGE_DEBUG") == "1"
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        return dispatch(arguments)
    except KeyboardInterrupt as interrupt:
        if debug:
            traceback.print_exc()
        line = str(interrupt) if isinstance(interrupt, Interrupted) else INTERRUPTED
        print(f"\n{program}: {line}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of the output has exited (`atomforge ... | head`); keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        if debug:
            traceback.print_exc()
        print(f"{program}: error: {line}", file=sys.stderr)
        return 2


def check_command(name: str, commands: Collection[str], *, program: str) -> None:
    """Check the name of a subcommand.

    Raises:
        UsageError: unknown; with the nearest name.
    """
    if name not in commands:
        raise UsageError(f"unknown subcommand {name!r}{did_you_mean(name, commands)} (see `{program} --help`)")


def run_command(module: ModuleType, arguments: list[str], *, program: str) -> int:
    """Parse the arguments of a command, its name first, run it and return its exit code.

    Raises:
        UsageError: an option is unknown, missing or wrong.
    """
    name, *rest = arguments
    parser = CommandParser(prog=program)
    subparsers = parser.add_subparsers(dest="subcommand")
    module.add_parser(subparsers)
    options = list(subparsers.choices[name]._option_string_actions)
    for word in (argument.split("=")[0] for argument in rest if argument.startswith("--")):
        if word not in options:  # reported before argparse finds a required option missing
            raise UsageError(f"unknown option {word}{did_you_mean(word, options)} (see `{program} {name} --help`)")
    try:
        parsed = parser.parse_args(arguments)
    except SystemExit as leave:  # after --help
        return int(leave.code or 0)
    return module.run(parsed)


def format_overview(program: str, summary: str, commands: Mapping[str, str]) -> str:
    """Format the help of a program: its subcommands, each with a short description."""
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {text}" for name, text in commands.items()]
    debug = "--debug (or ATOMFORGE_DEBUG=1) prints the traceback of an error."
    help_line = f"`{program} SUBCOMMAND --help` describes a subcommand. {debug}"
    return "\n".join([f"usage: {program} SUBCOMMAND ... [--debug]", "", summary, "", *lines, "", help_line])
