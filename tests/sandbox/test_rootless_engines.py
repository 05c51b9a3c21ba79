"""Rootless podman and rootless Docker: found without DOCKER_HOST, and as strict with hostile programs as Docker.

Skipped where podman, or rootlesskit and newuidmap, are not installed.
"""

import json
import subprocess

import pytest

from tests.sandbox.hostile import HOSTILE
from tests.sandbox.test_ordinary_user import MODULE, usable_interpreter
from tests.support.docker_engine import NoEngine
from tests.support.judging import MAY_COST_A_SANDBOX
from tests.support.rootless import running_rootless_engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=["podman", "docker"])
def report(request, docker_engine):
    """What `as_ordinary_user.py` found with the engine, which it had to find too."""
    python = usable_interpreter()
    if python is None:
        pytest.skip("no Python of at least 3.11 that an ordinary user can start")
    try:
        with running_rootless_engine(request.param, docker_engine) as engine:
            command = engine.command(python, "-B", "-m", MODULE, "docker", "subset")
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except NoEngine as reason:
        pytest.skip(str(reason))
    assert done.returncode == 0, done.stderr[-2000:]
    return {**json.loads(done.stdout), "engine": request.param}


def test_description_names_the_limits_that_the_engine_does_not_set(report):
    assert report["description"].startswith("docker: ")
    assert ("inodes" in report["description"]) is (report["engine"] == "podman")


def test_hostile_programs_have_their_expected_statuses(report):
    statuses = report["hostile"]
    assert {name: status for name, status in statuses.items() if status in ("passed", "infra")} == {}
    assert {name: found for name, found in statuses.items() if HOSTILE[name][0] and found not in HOSTILE[name][0]} == {}


def test_sandbox_survives_hostile_programs(report):
    kind = "bubblewrap" if report["engine"] == "podman" else "docker"  # podman limits no inodes either
    assert report["num_replaced"] <= len(MAY_COST_A_SANDBOX[kind])


@pytest.mark.parametrize("kind", ["controls", "odd", "probes", "policy"])
def test_correct_programs_pass(report, kind):
    assert [name for name, right in report[kind].items() if not right] == []
