"""`atomforge study`: train and evaluate all arms of a study; the same command goes on where it stopped."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cli.config.files import read_yaml
from executor.commands.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from cli.study.plan import Stage, StudyConfig
    from cli.study.schedule import Arm


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of `study`."""
    parser = subparsers.add_parser(
        "study",
        help="train and evaluate all arms of a study",
        description="Train and evaluate every arm of a study that is not done yet; the same command goes on.",
    )
    parser.add_argument("--config", required=True, help="YAML file, e.g. configs/studies/small.yaml")
    parser.add_argument("--output", default=None, help="directory for everything (the file's `output`)")
    parser.add_argument("--jobs", type=int, default=1, help="arms at the same time (1)")
    parser.add_argument("--dry-run", action="store_true", help="print what would run, and how long it takes")


def run(args: argparse.Namespace) -> int:
    """Run what is missing; 1 where arms failed.

    Raises:
        ValueError: the config is wrong, or the data set is another one; one line.
    """
    from cli.study.plan import load_study

    if args.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {args.jobs}")
    study = load_study(args.config)
    if args.output is not None:
        study = dataclasses.replace(study, output=args.output)
    check_settings(study)
    if args.dry_run:
        _show(study, args.jobs)
        return 0
    with _alone_in(Path(study.output)):
        return _run(study, args)


def check_settings(study: StudyConfig) -> None:
    """Parse the data set's file and each stage's training as they will be parsed hours from now.

    Raises:
        UsageError: naming the file or the stage.
    """
    from cli.config.cli import build_run_from_arguments
    from cli.study.arm import fit_arguments
    from datamodules.synthesis.config import parse_config

    parse_config(read_yaml(study.synthesis), source=study.synthesis)
    for stage in study.stages:
        spec = _spec(study, stage, study.seeds[0], parent_run=None if stage.parent is None else "parent")
        try:
            arguments = fit_arguments({**spec, "folder": "arm"})[1:]
            build_run_from_arguments("fit", arguments, stage="parsed")
        except UsageError as error:
            told = str(error).replace("command line: ", "overrides: ")
            raise UsageError(f"stage {stage.name}: {told}") from error


def _spec(study: StudyConfig, stage: Stage, seed: int, *, parent_run: str | None) -> dict[str, Any]:
    """Describe an arm for its process, but for where it lies and what it is called."""
    return {
        "stage": stage.name,
        "seed": seed,
        "kind": stage.kind,
        "parent": stage.parent,
        "layers": list(study.layers_of(stage)),
        "overrides": dict(stage.overrides),
        "data_dir": str(Path(study.output) / "data"),
        "parent_run": parent_run,
        "measurement": study.asked_of(stage.name),
        "num_threads": study.num_threads,
        "backend": study.backend,
    }


def _run(study: StudyConfig, args: argparse.Namespace) -> int:
    from cli.study.schedule import run_arms, with_measured_times

    prepare(study, args.config)
    arms = with_measured_times(arms_of(study))
    num_done = sum(arm.is_done for arm in arms)
    print(f"{study.name}: {num_done} of {len(arms)} arms are done", flush=True)
    try:
        failed = run_arms(arms, jobs=args.jobs, say=_say)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; run the same command again to go on") from None
    left = [arm for arm in arms if not arm.is_done]
    for arm in left:
        print(f"not done: {arm}" + (", which failed" if arm in failed else ", which waits for another"))
    print(f"{study.name}: {len(arms) - len(left)} of {len(arms)} arms are done, in {study.output}/arms")
    return 1 if left else 0


@contextlib.contextmanager
def _alone_in(output: Path) -> Iterator[None]:
    """Keep a second study out of the directory for as long as this process works in it.

    Raises:
        UsageError: another one does.
    """
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another `atomforge study` is at work in {output}; wait for it or stop it") from None
        yield


def arms_of(study: StudyConfig) -> list[Arm]:
    """List the arms of a study, parents before children.

    Raises:
        UsageError: a layer cannot be read.
    """
    from cli.study.address import address, versions
    from cli.study.schedule import Arm
    from datamodules.synthesis.manifest import read_manifest

    output = Path(study.output)
    manifest = read_manifest(output / "data")
    found: dict[tuple[str, int], Arm] = {}
    for stage in study.in_order():
        for seed in study.seeds:
            parent = None if stage.parent is None else found[stage.parent, seed]
            name = address(
                dataclasses.replace(stage, layers=study.layers_of(stage)),
                seed,
                asked=study.asked_of(stage.name),
                num_threads=study.num_threads,
                data=manifest,
                parent=None if parent is None else parent.spec["address"],
            )
            folder = output / "arms" / stage.name / f"seed{seed}-{name}"
            spec = _spec(study, stage, seed, parent_run=None if parent is None else str(parent.folder / "run"))
            spec |= {"address": name, "versions": versions(), "folder": str(folder)}
            found[stage.name, seed] = Arm(
                stage=stage.name,
                seed=seed,
                folder=folder,
                parent=None if parent is None else parent.folder,
                minutes=stage.minutes,
                spec=spec,
            )
    return list(found.values())


def prepare(study: StudyConfig, config: str) -> None:
    """Build the data set where it is not there, and keep the study's file."""
    _build_data(study)
    _keep_file(config, Path(study.output))


def _build_data(study: StudyConfig) -> None:
    from cli.main import dispatch

    arguments = ["synthesize", "--config", study.synthesis, "--output", f"{study.output}/data"]
    code = dispatch([*arguments, "--backend", study.backend])
    if code != 0:
        raise UsageError(f"the data set of the study could not be built (exit code {code}); its own message is above")


def _keep_file(config: str, output: Path) -> None:
    """Leave the study's file, with all it extends, where the report finds it."""
    from cli.study.plan import read_study

    fresh = output / ".study.yaml.tmp"
    fresh.write_text(yaml.safe_dump(read_study(config), sort_keys=False, allow_unicode=True), encoding="utf-8")
    fresh.replace(output / "study.yaml")


def _show(study: StudyConfig, jobs: int) -> None:
    """Print what would run, also while it runs; nothing is written."""
    from cli.study.schedule import with_measured_times

    if not (Path(study.output) / "data").exists():
        _print_stages(study)
        return
    _build_data(study)  # which is there: refused where it is another one
    _print_plan(with_measured_times(arms_of(study)), jobs)


def _print_stages(study: StudyConfig) -> None:
    for stage in study.in_order():
        start = f" from {stage.parent}" if stage.parent else ""
        print(f"{stage.name}: {stage.kind}{start}, about {stage.minutes:.0f} min, {len(study.seeds)} seeds")
    total = len(study.seeds) * sum(stage.minutes for stage in study.stages)
    print(f"{len(study.seeds) * len(study.stages)} arms, about {total:.0f} min one after the other; the data set first")


def _print_plan(arms: list[Arm], jobs: int) -> None:
    for arm in arms:
        print(f"{arm}: {'done' if arm.is_done else 'to do'}, {arm.minutes:.1f} min, {arm.folder}")
    left = sum(arm.minutes for arm in arms if not arm.is_done)
    print(f"{sum(not arm.is_done for arm in arms)} of {len(arms)} arms to do, about {left / jobs:.0f} min")


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
    sys.stdout.flush()
