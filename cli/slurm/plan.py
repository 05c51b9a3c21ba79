"""From a command to jobs: what each runs, its run directories, and the job it waits for. Nothing is submitted."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.config.files import read_arguments, read_yaml
from cli.slurm.config import SlurmConfig
from cli.slurm.script import SERVER_PORT, Job
from executor.commands.errors import UsageError

if TYPE_CHECKING:
    from cli.study.arm import Arm

SEED_KEYS = ("seed_everything", "data.init_args.seed", "model.init_args.seed")
"""Keys that the seed of an element of an array sets."""


def plan_fit(
    files: Sequence[str], words: Sequence[str], config: SlurmConfig, *, name: str, seeds: Sequence[int]
) -> Job:
    """Plan a training run, or an array with a run per seed.

    Args:
        files: config files of `atomforge fit`.
        words: its further options.
        config: nodes and ranks, which the Trainer gets, too.
        name: of the job.
        seeds: of an array; empty: the seed of the files.

    Raises:
        UsageError: no run directory is given, or an option contradicts the config.
    """
    given = {word.partition("=")[0] for word in words}
    for key in ("--trainer.num_nodes", "--trainer.devices"):
        if key in given:
            raise UsageError(f"{key} follows from slurm.nodes and slurm.tasks_per_node; omit it")
    server = _plan_server(files, words, config) if config.rollout_servers else []
    run_dir = _find_run_dir(files, words)
    command = [*_start(config, "cli.main", program="atomforge"), "fit", *_name_files(files), *words]
    command += ["--trainer.num_nodes", str(config.nodes), "--trainer.devices", str(config.tasks_per_node)]
    if "--ckpt_path" not in given:
        command += ["--ckpt_path", "last"]  # resumes a requeued job
    if not seeds:
        return Job(name=name, commands=[command], runs=[run_dir], server=server)
    runs = [run_dir / f"seed{seed}" for seed in seeds]
    commands = [
        [*command, *(word for key in SEED_KEYS for word in (f"--{key}", str(seed))), "--run_dir", str(run)]
        for seed, run in zip(seeds, runs, strict=True)
    ]
    return Job(name=name, commands=commands, runs=runs, server=server)


def _plan_server(files: Sequence[str], words: Sequence[str], config: SlurmConfig) -> list[str]:
    """Return the words that start a vLLM server with the policy that the run starts from.

    Raises:
        UsageError: the run has no policy to start from, or names an engine of its own.
    """
    if any(word.partition("=")[0] == "--model.init_args.rollout.engine" for word in words):
        raise UsageError("--model.init_args.rollout.engine follows from slurm.rollout_servers; omit one of them")
    checkpoint = _find_setting(files, words, "model", "init_args", "init_from")
    if checkpoint is None:
        raise UsageError("slurm.rollout_servers is for RL: no model.init_args.init_from is given")
    python = sys.executable if config.container is None else "python"
    command = [python, "-m", "lightning_modules.generation.vllm.serve", "--checkpoint", str(checkpoint)]
    command += ["--host", "0.0.0.0", "--port", str(SERVER_PORT)]
    if config.gpus_per_node is not None and config.gpus_per_node > 1:
        command += ["--tensor-parallel-size", str(config.gpus_per_node)]
    return command


def plan_evaluation(files: Sequence[str], words: Sequence[str], config: SlurmConfig, *, name: str) -> Job:
    """Plan an evaluation.

    Raises:
        UsageError: the config has more than one rank.
    """
    _check_one_rank(config, "an evaluation")
    command = [*_start(config, "cli.main", program="atomforge"), "evaluate", *_name_files(files), *words]
    return Job(name=name, commands=[command], runs=[None])


def plan_study(arms: Sequence[Arm], config: SlurmConfig, *, name: str) -> list[Job]:
    """Plan the unfinished arms of a study: an array per stage, each element of which waits for its parent's.

    Args:
        arms: all arms, parents before children; their `spec.json` exists.
        config: resources of each arm.
        name: of the study.

    Raises:
        UsageError: the config has more than one rank, or only some seeds of a stage's parent are finished.
    """
    _check_one_rank(config, "an arm of a study")
    start = _start(config, "cli.study.arm")
    unfinished = {arm.folder: arm for arm in arms if not arm.is_done}
    groups: dict[tuple[str, str | None], list[Arm]] = {}  # by stage and unfinished parent stage
    for arm in unfinished.values():
        parent = None if arm.parent is None else unfinished.get(arm.parent)
        groups.setdefault((arm.stage, None if parent is None else parent.stage), []).append(arm)
    jobs: list[Job] = []
    positions: dict[tuple[str, tuple[int, ...]], int] = {}
    for (stage, parent_stage), group in groups.items():
        seeds = tuple(arm.seed for arm in group)
        if parent_stage is not None and (parent_stage, seeds) not in positions:
            raise UsageError(f"arms of {parent_stage} are done for some seeds only; finish them first: atomforge study")
        positions[stage, seeds] = len(jobs)
        commands = [[*start, str(arm.folder / "spec.json")] for arm in group]
        parent_job = None if parent_stage is None else positions[parent_stage, seeds]
        runs = [arm.folder / "run" for arm in group]
        jobs.append(Job(name=f"{name}-{stage}", commands=commands, runs=runs, parent=parent_job))
    return jobs


def _start(config: SlurmConfig, module: str, *, program: str | None = None) -> list[str]:
    """Start a module with this Python, or in a container with the Python or the program there."""
    if config.container is None:
        return [sys.executable, "-m", module]
    return ["python", "-m", module] if program is None else [program]


def _name_files(files: Sequence[str]) -> list[str]:
    return [word for path in files for word in ("--config", path)]


def _check_one_rank(config: SlurmConfig, what: str) -> None:
    if config.rollout_servers:
        raise UsageError(f"slurm.rollout_servers is {config.rollout_servers}, but {what} uses none: set it to 0")
    if config.num_ranks > 1:
        raise UsageError(
            f"{what} runs on one rank, not {config.num_ranks}: set slurm.nodes and slurm.tasks_per_node to 1"
        )


def _find_run_dir(files: Sequence[str], words: Sequence[str]) -> Path:
    found = _find_setting(files, words, "run_dir")
    if found is None:
        raise UsageError("no run_dir is given: name the directory of the run in a file or with --run_dir")
    return Path(str(found))


def _find_setting(files: Sequence[str], words: Sequence[str], *keys: str) -> Any:
    """Return the last value that files and options give to a key; None if none does."""
    found = None
    for settings in [*map(read_yaml, files), *(source.settings for source in read_arguments(words))]:
        value: Any = settings
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        found = found if value is None else value
    return found
