"""Limits apply to all processes of a candidate together, and it cannot reach what measures them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from executor.backends.base import interpreter
from executor.types import Status
from tests.sandbox.trees import CPU_LIMIT, PATIENT, RELAYED, SNOOP, SPREAD, WAITED_FOR, run

USER_ID = 61234
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("source", [SPREAD, RELAYED])
def test_cpu_time_limit_counts_all_processes(executor, source):
    execution = run(executor, source, CPU_LIMIT)
    assert execution.failure is Status.TIMEOUT
    # Two cores at least spread 0.5 s over 0.25 s or more; the limit is multiplied on slow machines.
    assert execution.duration_s < 6.0


def test_children_within_the_limit_do_not_time_out(executor):
    assert run(executor, WAITED_FOR, PATIENT).results[0].value is True


def test_candidate_cannot_reach_the_private_procfs(bubblewrap_executor):
    assert "CPU time of the first process only" not in bubblewrap_executor.description
    assert run(bubblewrap_executor, SNOOP, PATIENT).results[0].value == []


def test_limits_and_procfs_for_an_ordinary_user():
    """Where the candidates' user is the worker's."""
    if os.geteuid() != 0:
        pytest.skip("not root: the tests above have run as an ordinary user")
    for python in (str(interpreter()), "/usr/bin/python3"):
        try:
            command = [python, "-B", "-m", "tests.sandbox.trees"]
            done = subprocess.run(command, user=USER_ID, group=USER_ID, extra_groups=[], cwd=ROOT, capture_output=True)
        except OSError:
            continue
        if done.returncode == 0:
            break
    else:
        pytest.skip("no Python of at least 3.11 that an ordinary user can start")
    report = json.loads(done.stdout)
    assert "user namespace" in report["description"]
    assert "CPU time of the first process only" not in report["description"]
    assert report["found"] == []
    assert report["failures"] == ["timeout", "timeout"]
    assert max(report["durations"]) < 6.0
