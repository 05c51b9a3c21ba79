"""Run a study: check its settings, build the data set, list the arms, and run those that are not done."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cli.config.files import load_config
from cli.evaluation.rejection import KEPT
from cli.study.arm import SAMPLED, Arm
from cli.study.load import read_study
from cli.study.plan import Stage, StudyConfig
from cli.study.schedule import run_arms, with_measured_times
from executor.commands.errors import Interrupted, UsageError
from executor.commands.io import open_atomic

if TYPE_CHECKING:
    from cli.api import TrainConfig

STUDY_FILE = "study.yaml"


def run_study(
    study: StudyConfig,
    config: str,
    *,
    jobs: int = 1,
    show_output: bool = False,
    on_arms: Callable[[list[Arm]], None] = lambda arms: None,
) -> int:
    """Run the arms that are not done; 1 if arms failed.

    Args:
        study: the checked settings.
        config: their file.
        jobs: arms that run at the same time.
        show_output: print the output of the arms instead of writing it to log files.
        on_arms: called with the arms before they run.

    Raises:
        UsageError: another process runs the study, or the data set is a different one.
        Interrupted: Ctrl-C.
    """
    with lock(Path(study.output)):
        prepare(study, config)
        arms = with_measured_times(build_arms(study))
        _print_count(study, arms)
        on_arms(arms)
        try:
            failed = run_arms(arms, jobs=jobs, log=_log, show_output=show_output)
        except KeyboardInterrupt:
            raise Interrupted("interrupted; run the same command again to resume") from None
    left = [arm for arm in arms if not arm.is_done]
    for arm in left:
        print(f"not done: {arm}" + (", which failed" if arm in failed else ", which waits for another"))
    _print_count(study, arms)
    return 1 if left else 0


def print_plan(study: StudyConfig, *, jobs: int) -> None:
    """Print what would run, also while the study runs; nothing is written."""
    if not Path(study.data_dir).exists():
        for stage in study.in_order():
            start = f" from {stage.parent}" if stage.parent else ""
            seeds = f"{len(study.seeds)} seeds"
            print(f"{stage.name}: {stage.kind}{start}, about {stage.estimated_minutes:.0f} min, {seeds}")
        total = len(study.seeds) * sum(stage.estimated_minutes for stage in study.stages)
        count = len(study.seeds) * len(study.stages)
        print(f"{count} arms, about {total:.0f} min one after the other; the data set is built first")
        return
    build_data(study)  # which exists: fails if it is a different one
    arms = with_measured_times(build_arms(study))
    for arm in arms:
        print(f"{arm}: {'done' if arm.is_done else 'to do'}, {arm.estimated_minutes:.1f} min, {arm.folder}")
    left = [arm.estimated_minutes for arm in arms if not arm.is_done]
    print(f"{len(left)} of {len(arms)} arms to do, about {sum(left) / jobs:.0f} min")


def check_settings(study: StudyConfig) -> None:
    """Parse the file of the data set and the training of each stage, before anything runs.

    Raises:
        UsageError: names the file or the stage.
    """
    from cli.api import check
    from datamodules.synthesis.config import SynthesisConfig

    load_config(SynthesisConfig, study.synthesis)
    for stage in study.stages:
        parent = None if stage.parent is None else Path("parent")
        config = _train_config(study, stage, study.seeds[0], folder=Path("arm"), parent=parent)
        try:
            check(config)
        except UsageError as error:
            reason = str(error).replace("command line: ", "overrides: ")
            raise UsageError(f"stage {stage.name}: {reason}") from error


def prepare(study: StudyConfig, config: str) -> None:
    """Build the data set if it does not exist, and copy the study's file and those it extends, for the report."""
    build_data(study)
    output = Path(study.output)
    output.mkdir(parents=True, exist_ok=True)
    with open_atomic(output / STUDY_FILE) as file:
        file.write(yaml.safe_dump(read_study(config), sort_keys=False, allow_unicode=True))


def build_data(study: StudyConfig) -> None:
    """Build the data set if it does not exist.

    Raises:
        ValueError: the directory holds something else.
    """
    if study.data is None:
        from cli.api import synthesize

        synthesize(study.synthesis, study.data_dir, backend=study.backend)


def build_arms(study: StudyConfig) -> list[Arm]:
    """List the arms of a study, seed by seed, parents before children.

    Raises:
        UsageError: a file cannot be read.
    """
    from cli.study.fingerprint import compute_fingerprint, package_versions
    from datamodules.synthesis.manifest import read_manifest

    manifest = read_manifest(Path(study.data_dir))
    found: dict[tuple[str, int], Arm] = {}
    for seed in study.seeds:  # one seed after the other: a report of the first ones already compares all stages
        for stage in study.in_order():
            parent = None if stage.parent is None else found[stage.parent, seed]
            measurement = study.measurement_for(stage)
            fingerprint = compute_fingerprint(
                dataclasses.replace(stage, configs=study.list_configs(stage)),
                seed,
                measurement=measurement,
                num_threads=study.num_threads,
                data=manifest,
                parent=None if parent is None else parent.fingerprint,
            )
            folder = Path(study.output) / "arms" / stage.name / f"seed{seed}-{fingerprint}"
            parent_run = None if parent is None else parent.run_dir
            train_config = _train_config(study, stage, seed, folder=folder, parent=parent_run)
            found[stage.name, seed] = Arm(
                stage=stage.name,
                seed=seed,
                kind=stage.kind,
                folder=folder,
                parent=None if parent is None else parent.folder,
                parent_stage=stage.parent,
                fingerprint=fingerprint,
                versions=package_versions(),
                configs=tuple(train_config.configs),
                overrides=train_config.overrides,
                sampling=None if stage.sampling is None else dataclasses.asdict(stage.sampling),
                measurement=measurement,
                data_dir=study.data_dir,
                backend=study.backend,
                estimated_minutes=stage.estimated_minutes,
            )
    return list(found.values())


@contextlib.contextmanager
def lock(output: Path) -> Iterator[None]:
    """Lock the output directory of a study for this process.

    Raises:
        UsageError: another process has locked it.
    """
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another process runs the study in {output}; wait for it or stop it") from None
        yield


def _train_config(study: StudyConfig, stage: Stage, seed: int, *, folder: Path, parent: Path | None) -> TrainConfig:
    """Return the training of an arm: the files of its stage, and all keys that depend on study and seed."""
    from cli.api import TrainConfig

    overrides: dict[str, Any] = {
        **stage.overrides,
        "run_dir": str(folder / "run"),
        "seed_everything": seed,
        "data.init_args.data_dir": study.data_dir,
        "data.init_args.seed": seed,
        "model.init_args.seed": seed,
        "model.init_args.executor_backend": study.backend,
    }
    if stage.kind == "rft":
        overrides["data.init_args.completions"] = str(folder / SAMPLED / KEPT)
    if parent is not None:
        overrides["model.init_args.init_from"] = str(parent)
    if study.num_threads is not None:
        overrides["num_threads"] = study.num_threads
    return TrainConfig(configs=study.list_configs(stage), overrides=overrides)


def _print_count(study: StudyConfig, arms: list[Arm]) -> None:
    print(
        f"{study.name}: {sum(arm.is_done for arm in arms)} of {len(arms)} arms are done, in {study.output}", flush=True
    )


def _log(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
