"""`atomforge submit`: submit a training run, an evaluation or a study to Slurm.

    atomforge submit [fit|evaluate|study] --config FILE ... --config configs/cluster/slurm.yaml [OPTIONS OF THE COMMAND]

Options that it does not know belong to the command. It returns at once: `atomforge jobs` shows the states of the jobs.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from executor.commands.errors import UsageError

if TYPE_CHECKING:
    from cli.slurm.config import SlurmConfig
    from cli.slurm.script import Job

COMMANDS = ("fit", "evaluate", "study")
DIRECTORY = Path("runs/slurm")


def run_words(words: list[str]) -> int:
    """Parse, plan, and submit or print; returns 0.

    Raises:
        ValueError: the request is wrong, or Slurm rejects it.
    """
    from cli.slurm.client import SubmittedJob, check_script, submit
    from cli.slurm.config import read_slurm_config
    from cli.slurm.script import write_script

    has_command = bool(words) and words[0] in COMMANDS
    command = words[0] if has_command else "fit"
    args, rest = options().parse_known_args(words[1:] if has_command else words)
    if not args.config:
        raise UsageError("give the config files of the command, and configs/cluster/slurm.yaml, with --config")
    config, files = read_slurm_config(args.config)
    log = args.dir / "logs"
    jobs = _plan(command, files, rest, args, config)
    scripts = [write_script(job, config, log=log) for job in jobs]
    if args.print_script:
        for job, script in zip(jobs, scripts, strict=True):
            waits = "" if job.parent is None else f"# each element after the same one of {jobs[job.parent].name}\n"
            print(f"{waits}{script}", end="")
        return 0
    for script in scripts:
        check_script(script, config)
    log.mkdir(parents=True, exist_ok=True)
    numbers: list[str] = []
    for job, script in zip(jobs, scripts, strict=True):
        after = args.after if job.parent is None else numbers[job.parent]
        number = submit(script, after=after, by_element=job.parent is not None and len(job.runs) > 1)
        numbers.append(number)
        runs = [None if run is None else str(run) for run in job.runs]
        SubmittedJob(number=number, name=job.name, runs=runs, log=str(log.absolute()), after=after).write(args.dir)
        size = f" x {len(runs)}" if len(runs) > 1 else ""
        print(f"job {number}: {job.name}{size}{'' if after is None else f', after {after}'}")
    if not jobs:
        print("nothing to submit: every arm is done")
    return 0


def options() -> argparse.ArgumentParser:
    """Make the parser of the options of `submit` itself."""
    from executor.commands.main import CommandParser

    parser = CommandParser(
        prog="atomforge submit",
        usage="atomforge submit [fit|evaluate|study] --config FILE ... [options of the command]",
        description="Submit a command to Slurm. Unknown options belong to the command.",
    )
    parser.add_argument("--config", action="append", metavar="FILE", help="YAML file; one has a section slurm")
    parser.add_argument("--name", help="name of the job (default: the command and its first file)")
    parser.add_argument("--seeds", help="fit: an array with a run per seed, e.g. 0,1,2")
    parser.add_argument("--after", metavar="JOB", help="wait until this job has completed successfully")
    parser.add_argument("--dir", type=Path, default=DIRECTORY, help=f"for records and output ({DIRECTORY})")
    parser.add_argument("--print-script", action="store_true", help="print the batch scripts and submit nothing")
    return parser


def _plan(
    command: str, files: Sequence[str], rest: Sequence[str], args: argparse.Namespace, config: SlurmConfig
) -> list[Job]:
    from cli.config.cli import build_run_from_arguments
    from cli.slurm.plan import plan_evaluation, plan_fit

    seeds = _parse_seeds(args.seeds)
    if seeds and command != "fit":
        raise UsageError(f"--seeds is for fit; the config of {command} has its own seeds")
    if not files:
        raise UsageError(f"no config file of the {command} is given: add it with --config")
    name = args.name or f"{command}-{Path(files[0]).stem}"
    if command == "evaluate":
        return [plan_evaluation(files, rest, config, name=name)]
    if command == "study":
        return _plan_study(files, rest, config, name=name)
    job = plan_fit(files, rest, config, name=name, seeds=seeds)
    words = [*(word for path in files for word in ("--config", path)), *rest]
    build_run_from_arguments("fit", words, stage="parsed")
    return [job]


def _plan_study(files: Sequence[str], rest: Sequence[str], config: SlurmConfig, *, name: str) -> list[Job]:
    from cli.slurm.plan import plan_study
    from cli.study.load import load_study
    from cli.study.run import build_arms, check_settings, prepare

    if len(files) != 1:
        raise UsageError(f"a study is one file, not {len(files)}: {', '.join(files)}")
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
    return plan_study(arms, config, name=name)


def _parse_seeds(text: str | None) -> list[int]:
    words = [] if text is None else text.split(",")
    if not all(word.strip().isdigit() for word in words) or len(set(words)) < len(words):
        raise UsageError(f"--seeds takes different whole numbers separated by commas, such as 0,1,2, not {text}")
    return [int(word) for word in words]
