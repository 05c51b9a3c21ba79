"""The service of a node: its names, restart and end, and the error when it does not start."""

import os
import signal
import stat
from pathlib import Path

import pytest

from executor.api import grade
from executor.grading.tasks import parse_task
from executor.service import per_node
from executor.service.per_node import NodeService, get_service_folder, open_node_executor, parse_node_backend
from executor.types import Status, Submission

TASK = parse_task({"task_id": "t", "entry_point": "f", "tests": [{"args": [], "expected": 1}]})
GOOD = Submission(task=TASK, completion="def f():\n    return 1\n")
BAD = Submission(task=TASK, completion="def f():\n    return 2\n")


@pytest.mark.parametrize(
    ("backend", "behind"),
    [("per_node", "auto"), ("per_node:docker", "docker"), ("per_node:process", "process"), ("auto", None),
     ("docker", None), ("http://node:8600", None)],
)  # fmt: skip
def test_parse_node_backend(backend: str, behind: str | None) -> None:
    assert parse_node_backend(backend) == behind


@pytest.mark.parametrize("backend", ["per_node:", "per_node:podman", "per_node:http://here:1", "per_node:per_node"])
def test_invalid_node_backends(backend: str) -> None:
    with pytest.raises(ValueError, match="backend must be per_node or one of per_node:auto, per_node:docker"):
        parse_node_backend(backend)


def test_folders_differ_by_node_and_job() -> None:
    assert len({get_service_folder(job, rank) for job in ("a", "b") for rank in (0, 1)}) == 4


def test_service_is_private_shared_restarted_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    service = NodeService(folder, backend="process", log=tmp_path / "run" / "executor.log", time_factor=2.5)
    try:
        with service.open() as first, open_node_executor(folder) as second:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert first.time_factor == second.time_factor == 2.5
            assert service.pid is not None
            os.kill(service.pid, signal.SIGKILL)
            outcomes = [outcome for executor in (first, second) for outcome in grade(executor, [GOOD, BAD])]
            assert [outcome.status for outcome in outcomes] == [Status.PASSED, Status.WRONG] * 2
        with open_node_executor(folder) as again:
            assert again.time_factor == 2.5
        pid = service.pid
    finally:
        service.close()
    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()


def test_service_that_does_not_start_raises_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no bwrap
    service = NodeService(tmp_path / "node", backend="bubblewrap", log=tmp_path / "executor.log")
    try:
        with pytest.raises(ValueError, match="does not start: .*bubblewrap is not installed"):
            service.open()
    finally:
        service.close()


@pytest.mark.parametrize(("cores_of_job", "expected"), [("4", 4), ("2", 1), (None, 1)])
def test_service_of_a_slurm_job_uses_all_cores_of_the_job(monkeypatch, cores_of_job, expected):
    """A rank is bound to one core of 4; without a cgroup the kernel would give the service more than the job's."""
    affinity = {0}
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    if cores_of_job is not None:
        monkeypatch.setenv("SLURM_CPUS_ON_NODE", cores_of_job)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(affinity))

    def bind(pid, cores):
        affinity.clear()
        affinity.update(cores)

    monkeypatch.setattr(os, "sched_setaffinity", bind)
    per_node.use_cores_of_job()
    assert len(affinity) == expected
