"""From a command to jobs: what runs in each, where it leaves its run, what it waits for. Hands nothing in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cli.config.files import read_yaml
from cli.slurm.script import Job
from cli.slurm.settings import SlurmSettings
from cli.study.arm import Arm
from executor.commands.errors import UsageError

DATA_KEYS = ("seed_everything", "data.init_args.seed", "model.init_args.seed")
"""Keys that a seed of an array goes into."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A job, with what is to be known of it."""

    job: Job
    runs: Sequence[Path | None]
    """Run directory of each command; None where it leaves none."""
    parent: int | None = None
    """Place of the job in the plan whose elements those of this one wait for."""


def program(settings: SlurmSettings) -> list[str]:
    """Say how a job starts atomforge: as this process runs, or by its name in a container."""
    return ["atomforge"] if settings.container is not None else [sys.executable, "-m", "cli.main"]


def plan_fit(
    files: Sequence[str], words: Sequence[str], settings: SlurmSettings, *, name: str, log: Path, seeds: Sequence[int]
) -> Planned:
    """Plan a training: one job, or an array with a run for each seed.

    Args:
        files: YAML files of `atomforge fit`.
        words: further options of it.
        settings: nodes and ranks, which become the Trainer's.
        name: of the job.
        log: folder of its output.
        seeds: of an array; empty = the seed of the files.

    Raises:
        UsageError: no run directory is given, or what Slurm settles is given too.
    """
    for key in ("--trainer.num_nodes", "--trainer.devices"):
        if any(word.partition("=")[0] == key for word in words):
            raise UsageError(f"{key} follows from slurm.nodes and slurm.tasks_per_node; leave it out")
    run_dir = _run_dir(files, words)
    given = ["fit", *(word for path in files for word in ("--config", path)), *words]
    given += ["--trainer.num_nodes", str(settings.nodes), "--trainer.devices", str(settings.tasks_per_node)]
    if not any(word.partition("=")[0] == "--ckpt_path" for word in words):
        given += ["--ckpt_path", "last"]  # what makes a requeued job go on
    command = [*program(settings), *given]
    if not seeds:
        return Planned(job=_job(name, [command], log), runs=[run_dir])
    runs = [run_dir / f"seed{seed}" for seed in seeds]
    commands = [
        [*command, *(word for key in DATA_KEYS for word in (f"--{key}", str(seed))), "--run_dir", str(run)]
        for seed, run in zip(seeds, runs, strict=True)
    ]
    return Planned(job=_job(name, commands, log), runs=runs)


def plan_evaluation(
    files: Sequence[str], words: Sequence[str], settings: SlurmSettings, *, name: str, log: Path
) -> Planned:
    """Plan an evaluation, which runs on one rank.

    Raises:
        UsageError: more ranks are asked for.
    """
    if settings.nodes * settings.tasks_per_node > 1:
        ranks = settings.nodes * settings.tasks_per_node
        raise UsageError(f"an evaluation runs on one rank: slurm.nodes and tasks_per_node ask for {ranks}")
    given = ["evaluate", *(word for path in files for word in ("--config", path)), *words]
    return Planned(job=_job(name, [[*program(settings), *given]], log), runs=[None])


def plan_study(arms: Sequence[Arm], settings: SlurmSettings, *, name: str, log: Path) -> list[Planned]:
    """Plan the arms of a study that are not done: an array for each stage, waiting seed by seed for its parent's.

    Args:
        arms: all of them, parents before children; their specifications are written.
        settings: nodes and ranks of each arm; one rank.
        name: of the study.
        log: folder of the output.

    Raises:
        UsageError: more than one rank is asked for.
    """
    if settings.nodes * settings.tasks_per_node > 1:
        raise UsageError("an arm of a study runs on one rank: set slurm.nodes and slurm.tasks_per_node to 1")
    start = ["python" if settings.container is not None else sys.executable, "-m", "cli.study.arm"]
    planned: list[Planned] = []
    places: dict[tuple[str, tuple[int, ...]], int] = {}
    for stage in dict.fromkeys(arm.stage for arm in arms):
        missing = [arm for arm in arms if arm.stage == stage and not arm.is_done]
        for parent in _parents(missing, arms):
            group = [arm for arm in missing if _waits_for(arm, arms) == parent]
            job = _job(f"{name}-{stage}", [[*start, str(arm.folder / "spec.json")] for arm in group], log)
            seeds = tuple(arm.seed for arm in group)
            places[stage, seeds] = len(planned)
            waits = None if parent is None else _place(places, parent, seeds)
            planned.append(Planned(job=job, runs=[arm.folder / "run" for arm in group], parent=waits))
    return planned


def _parents(missing: Sequence[Arm], arms: Sequence[Arm]) -> list[str | None]:
    return list(dict.fromkeys(_waits_for(arm, arms) for arm in missing))


def _waits_for(arm: Arm, arms: Sequence[Arm]) -> str | None:
    """Name the stage that an arm waits for; None where its parent is done or it has none."""
    parent = next((other for other in arms if other.folder == arm.parent), None)
    return None if parent is None or parent.is_done else parent.stage


def _place(places: dict[tuple[str, tuple[int, ...]], int], stage: str, seeds: tuple[int, ...]) -> int:
    """Find the parent's job whose elements are these seeds.

    Raises:
        UsageError: there is none, as seeds of the parent are done and the child's are not in step.
    """
    if (stage, seeds) not in places:
        raise UsageError(f"arms of {stage} are done for some seeds only; finish them first: atomforge study")
    return places[stage, seeds]


def _job(name: str, commands: Sequence[Sequence[str]], log: Path) -> Job:
    return Job(name=name, commands=commands, directory=Path.cwd(), log=log.resolve())


def _run_dir(files: Sequence[str], words: Sequence[str]) -> Path:
    found = next(
        (str(content["run_dir"]) for path in reversed(files) if "run_dir" in (content := read_yaml(path))), None
    )
    for word, following in pairwise([*words, ""]):
        option, equals, value = word.partition("=")
        if option == "--run_dir":
            found = value if equals else following
    if found is None:
        raise UsageError("no run_dir is given: name the directory of the run in a file or with --run_dir")
    return Path(found)
