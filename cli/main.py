"""The `atomforge` command: choose the subcommand and run it, as `executor.commands.main` does.

The commands of `atomforge-executor` are commands of `atomforge`, too; its `build` is `executor build` here.
"""

import importlib
import sys

from executor.commands import main as executor_commands
from executor.commands.main import check_command, format_overview, run_command, run_program

PROGRAM = "atomforge"
SUBCOMMANDS = {
    "doctor": "check what works on this machine, with a fix for what does not",
    "fit": "train a model (SFT or RL) from YAML configs",
    "validate": "run the validation of a config on a checkpoint",
    "test": "run the test of a config on a checkpoint",
    "evaluate": "sample programs from a checkpoint, run them, print pass@k",
    "sample": "sample completions and keep passing ones for SFT",
    "rollouts": "show or export the stored rollouts of an RL run",
    "export": "write a checkpoint as a plain Hugging Face folder",
    "synthesize": "build a dataset of composed tasks",
    "audit": "recompute the overlaps between the splits of a dataset",
    "convert": executor_commands.COMMANDS["convert"],
    "grade": executor_commands.COMMANDS["grade"],
    "executor": executor_commands.COMMANDS["build"],
    "serve": executor_commands.COMMANDS["serve"],
    "study": "train and evaluate all arms of a study",
    "report": "write the report of a study as HTML and Markdown",
    "submit": "submit a training run, an evaluation or a study to Slurm",
    "jobs": "show state and last metrics of submitted jobs",
    "demo": "run the whole pipeline at small size: data, SFT, RL, evaluation",
    "completion": "print a shell completion script for subcommands, options and configs",
}
LIGHTNING_SUBCOMMANDS = ("fit", "validate", "test")
_EXECUTOR_COMMANDS = ("convert", "grade")


def main(argv: list[str] | None = None) -> int:
    """Run `atomforge` with these arguments (default: those of the process) and return its exit code."""
    return run_program(PROGRAM, dispatch, argv)


def dispatch(arguments: list[str]) -> int:
    """Run a subcommand and return its exit code; errors and interrupts pass through.

    Raises:
        UsageError: unknown subcommand or option.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(format_overview(PROGRAM, "From atomic functions to composed tasks, SFT, RL and pass@k.", SUBCOMMANDS))
        return 0
    name, rest = arguments[0], arguments[1:]
    check_command(name, SUBCOMMANDS, program=PROGRAM)
    if name in LIGHTNING_SUBCOMMANDS:
        from cli.commands import fit

        return fit.run(name, rest)
    module = import_command(name)
    if name == "submit":  # it also accepts the options of other subcommands
        try:
            return module.run_words(rest)
        except SystemExit as leave:
            return int(leave.code or 0)
    return run_command(module, arguments, program=PROGRAM)


def import_command(name: str):
    """Import the module of a subcommand, of this package or of the executor."""
    package = "executor" if name in _EXECUTOR_COMMANDS else "cli"
    return importlib.import_module(f"{package}.commands.{name}")


if __name__ == "__main__":
    sys.exit(main())
