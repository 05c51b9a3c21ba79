"""`atomforge submit`: hand a training, an evaluation or a study in to Slurm.

    atomforge submit [fit|evaluate|study] --config FILE ... --config configs/cluster/slurm.yaml [OPTIONS OF THE COMMAND]

Words it does not know are those of the command. It waits for nothing: `atomforge jobs` tells how things stand.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from executor.commands.errors import UsageError

if TYPE_CHECKING:
    from cli.slurm.plan import Planned
    from cli.slurm.settings import SlurmSettings

COMMANDS = ("fit", "evaluate", "study")
DIRECTORY = Path("runs/slurm")


def run_words(words: list[str]) -> int:
    """Parse, plan, and hand in or print.

    Raises:
        ValueError: something asked for cannot be done, or Slurm refuses; one line.
    """
    from cli.slurm.script import script
    from cli.slurm.settings import read_settings
    from cli.slurm.slurm import check

    command = words[0] if words and words[0] in COMMANDS else "fit"
    asked, rest = options().parse_known_args(words[1:] if words and words[0] in COMMANDS else words)
    if not asked.config:
        raise UsageError("name the files of what is to run, and configs/cluster/slurm.yaml, with --config")
    settings, files = read_settings(asked.config)
    log = asked.dir / "logs"
    planned = _planned(command, files, rest, asked, settings, log=log)
    if asked.print_script:
        _print_scripts(planned, settings)
        return 0
    for one in planned:
        check(script(one.job, settings), time_s=settings.time_s, partition=settings.partition)
    log.mkdir(parents=True, exist_ok=True)
    numbers: list[str] = []
    for one in planned:
        numbers.append(_hand_in(one, settings, directory=asked.dir, after=asked.after, numbers=numbers))
    if not planned:
        print("nothing to hand in: every arm is done")
    return 0


def options() -> argparse.ArgumentParser:
    """Make the parser of what is ours."""
    from executor.commands.main import CommandParser

    parser = CommandParser(
        prog="atomforge submit",
        usage="atomforge submit [fit|evaluate|study] --config FILE ... [options of the command]",
        description="Hand a command in to Slurm. Options it does not know are those of the command.",
    )
    parser.add_argument("--config", action="append", metavar="FILE", help="YAML file; one has a section slurm")
    parser.add_argument("--name", help="of the job (the command and its first file)")
    parser.add_argument("--seeds", help="fit: an array with a run for each, e.g. 0,1,2")
    parser.add_argument("--after", metavar="JOB", help="wait until this job has ended well")
    parser.add_argument("--dir", type=Path, default=DIRECTORY, help=f"for records and output ({DIRECTORY})")
    parser.add_argument("--print-script", action="store_true", help="print the batch scripts and hand nothing in")
    return parser


def _planned(
    command: str,
    files: Sequence[str],
    rest: Sequence[str],
    asked: argparse.Namespace,
    settings: SlurmSettings,
    *,
    log: Path,
) -> list[Planned]:
    from cli.config.cli import build_run_from_arguments
    from cli.slurm.plan import plan_evaluation, plan_fit

    seeds = _seeds(asked.seeds)
    if seeds and command != "fit":
        raise UsageError(f"--seeds is for fit; {command} has its own")
    if not files:
        raise UsageError(f"no file of what is to run is given: add --config with the {command}'s own")
    name = asked.name or f"{command}-{Path(files[0]).stem}"
    if command == "fit":
        planned = plan_fit(files, rest, settings, name=name, log=log, seeds=seeds)
        words = [*(word for path in files for word in ("--config", path)), *rest]
        build_run_from_arguments("fit", words, stage="parsed")
        return [planned]
    if command == "evaluate":
        return [plan_evaluation(files, rest, settings, name=name, log=log)]
    return _planned_study(files, rest, settings, name=name, log=log)


def _planned_study(
    files: Sequence[str], rest: Sequence[str], settings: SlurmSettings, *, name: str, log: Path
) -> list[Planned]:
    from cli.slurm.plan import plan_study
    from cli.study.plan import load_study
    from cli.study.run import build_arms, check_settings, prepare

    if len(files) != 1:
        raise UsageError(f"a study is one file, these are {len(files)}: {', '.join(files)}")
    study = load_study(files[0])
    match rest:
        case []:
            pass
        case ["--output", output]:
            study = dataclasses.replace(study, output=output)
        case _:
            raise UsageError(f"unknown option {rest[0]}: a study takes --output here")
    check_settings(study)
    prepare(study, files[0])
    arms = build_arms(study)
    for arm in arms:
        if not arm.is_done:
            arm.write_spec()
    return plan_study(arms, settings, name=name, log=log)


def _seeds(text: str | None) -> list[int]:
    if text is None:
        return []
    words = text.split(",")
    if not all(word.strip().isdigit() for word in words) or len(set(words)) < len(words):
        raise UsageError(f"--seeds takes different whole numbers with commas between, such as 0,1,2, not {text}")
    return [int(word) for word in words]


def _print_scripts(planned: Sequence[Planned], settings: SlurmSettings) -> None:
    from cli.slurm.script import script

    for one in planned:
        if one.parent is not None:
            print(f"# each element after its own of {planned[one.parent].job.name}")
        sys.stdout.write(script(one.job, settings))


def _hand_in(
    one: Planned, settings: SlurmSettings, *, directory: Path, after: str | None, numbers: Sequence[str]
) -> str:
    from cli.slurm.record import Submitted
    from cli.slurm.script import script
    from cli.slurm.slurm import hand_in

    waits = after if one.parent is None else numbers[one.parent]
    number = hand_in(
        script(one.job, settings), after=waits, each_after_its_own=one.parent is not None and len(one.runs) > 1
    )
    record = Submitted(
        number=number,
        name=one.job.name,
        runs=[None if run is None else str(run) for run in one.runs],
        log=str(one.job.log),
        after=waits,
    )
    record.write(directory)
    waiting = "" if waits is None else f", after {waits}"
    print(f"job {number}: {one.job.name}{f' x {len(one.runs)}' if len(one.runs) > 1 else ''}{waiting}")
    return number
