"""The batch script of a job. Pure.

Before the time limit Slurm signals the script (`--signal=B:USR1@...`), which requeues its own job: the ranks are ended,
and the next start resumes from the newest checkpoint (`--ckpt_path last`). Slurm requeues preempted jobs itself. At
most the current epoch is lost.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.slurm.config import SlurmConfig

_SCRIPT = """\
#!/bin/bash
{directives}

cd {directory} || exit 1
{setup}

{command}
{requeue}{servers}srun --cpus-per-task={cpus} --kill-on-bad-exit=1 {ranks}{container}"${{command[@]}}" &
ranks=$!
wait "$ranks"; code=$?
while kill -0 "$ranks" 2>/dev/null; do wait "$ranks"; code=$?; done  # a signal ends the first wait
exit "$code"
"""
_REQUEUE = """\
requeue() {
  echo "atomforge: requeued before the time limit"
  job="${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}"
  scontrol requeue "${job:-$SLURM_JOB_ID}"
}
trap requeue USR1
"""
_SERVERS = """\
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
servers=("${{nodes[@]:{nodes}}}")  # the last nodes; the ranks have the others
join_by_comma() {{ local IFS=,; echo "$*"; }}
srun --nodes={count} --ntasks={count} --ntasks-per-node=1 --cpus-per-task={cpus} \\
  --nodelist="$(join_by_comma "${{servers[@]}}")" --output={log}-servers-%j.log \\
  {container}{start} &
addresses=("${{servers[@]/#/http://}}")
command+=(--model.init_args.rollout.engine "$(join_by_comma "${{addresses[@]/%/:{port}}}")")
"""
SERVER_PORT = 8000
"""Of each rollout server."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A batch job: one command, or an array of commands."""

    name: str
    commands: Sequence[Sequence[str]]
    """Words of each command; more than one command makes an array."""
    runs: Sequence[Path | None]
    """Run directory of each command; None if it has none."""
    server: Sequence[str] = ()
    """Words of the command that starts a rollout server; none if the config asks for no servers."""
    parent: int | None = None
    """Position in the plan of the job to wait for; elements of an array wait for the element of the same number."""


def write_script(job: Job, config: SlurmConfig, *, log: Path) -> str:
    """Write the batch script of a job that runs in the current directory.

    Args:
        job: the job.
        config: its resources and options.
        log: directory of its output.
    """
    container = "" if config.container is None else f"--container-image={shlex.quote(config.container)} "
    environment = [f"export {name}={shlex.quote(value)}" for name, value in config.environment.items()]
    return _SCRIPT.format(
        directives="\n".join(f"#SBATCH {option}" for option in _list_options(job, config, log.absolute())),
        directory=shlex.quote(str(Path.cwd())),
        setup="\n".join([*environment, *config.setup]),
        command=_select_command(job.commands),
        requeue=_REQUEUE if config.requeue else "",
        cpus=config.cpus_per_task,  # srun does not inherit it since Slurm 22.05: a rank would have one core
        servers=_start_servers(job, config, log=log.absolute(), container=container) if job.server else "",
        ranks=_place_ranks(config) if job.server else "",
        container=container,
    )


def _start_servers(job: Job, config: SlurmConfig, *, log: Path, container: str) -> str:
    """Start a rollout server on each of the last nodes, and give their addresses to the command."""
    return _SERVERS.format(
        nodes=config.nodes,
        count=config.rollout_servers,
        cpus=config.cpus_per_task * config.tasks_per_node,
        log=shlex.quote(f"{log}/{job.name}"),
        container=container,
        start=shlex.join(job.server),
        port=SERVER_PORT,
    )


def _place_ranks(config: SlurmConfig) -> str:
    nodes = f'"$(join_by_comma "${{nodes[@]::{config.nodes}}}")"'
    return f"--nodes={config.nodes} --ntasks={config.num_ranks} --nodelist={nodes} "


def _list_options(job: Job, config: SlurmConfig, log: Path) -> list[str]:
    is_array = len(job.commands) > 1
    options = {
        "job-name": job.name,
        "nodes": config.nodes + config.rollout_servers,
        "ntasks-per-node": config.tasks_per_node,
        "cpus-per-task": config.cpus_per_task,
        "time": config.time,
        "output": f"{log}/{job.name}-{'%A_%a' if is_array else '%j'}.log",
        "open-mode": "append",
        "signal": f"B:USR1@{config.signal_before_end_s}" if config.requeue else None,
        "array": f"0-{len(job.commands) - 1}" if is_array else None,
        "gpus-per-node": config.gpus_per_node,
        "mem": None if config.mem_gib_per_node is None else f"{config.mem_gib_per_node}G",
        "partition": config.partition,
        "account": config.account,
        "qos": config.qos,
    }
    given = [f"--{name}={value}" for name, value in options.items() if value is not None]
    return [*given, "--requeue" if config.requeue else "--no-requeue", *config.directives]


def _select_command(commands: Sequence[Sequence[str]]) -> str:
    """Set the variable `command`, in an array to the command of the element."""
    if len(commands) == 1:
        return f"command=({shlex.join(commands[0])})"
    cases = [f"  {index}) command=({shlex.join(words)}) ;;" for index, words in enumerate(commands)]
    return "\n".join(['case "$SLURM_ARRAY_TASK_ID" in', *cases, "esac"])
