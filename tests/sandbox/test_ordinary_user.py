"""The hostile programs when the executor runs as an ordinary user, with a user namespace instead of root."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from executor.backends.base import interpreter
from tests.sandbox.hostile import HOSTILE
from tests.support.judging import MAY_COST_A_SANDBOX

USER_ID = 61234
ROOT = Path(__file__).resolve().parents[2]
MODULE = "tests.sandbox.as_ordinary_user"
WORKS = "import sys; sys.exit(sys.version_info < (3, 11))"


def run_as_user(command):
    return subprocess.run(
        command, user=USER_ID, group=USER_ID, extra_groups=[], cwd=ROOT, capture_output=True, text=True, timeout=280
    )


def usable_interpreter():
    for python in (str(interpreter()), "/usr/bin/python3"):
        try:
            if run_as_user([python, "-c", WORKS]).returncode == 0:
                return python
        except OSError:
            continue
    return None


@pytest.fixture(scope="module", params=["subset", pytest.param("all", marks=pytest.mark.slow)])
def report(request):
    if os.geteuid() != 0:
        pytest.skip("not root: test_hostile_programs.py has run as an ordinary user already")
    python = usable_interpreter()
    if python is None:
        pytest.skip("no Python of at least 3.11 that an ordinary user can start")
    done = run_as_user([python, "-B", "-m", MODULE, "bubblewrap", request.param])
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_sandbox_uses_a_user_namespace(report):
    assert "user namespace" in report["description"]


def test_hostile_programs_have_their_expected_statuses(report):
    statuses = report["hostile"]
    assert {name: status for name, status in statuses.items() if status in ("passed", "infra")} == {}
    assert {name: found for name, found in statuses.items() if HOSTILE[name][0] and found not in HOSTILE[name][0]} == {}


def test_sandbox_survives_hostile_programs(report):
    assert report["num_replaced"] <= len(MAY_COST_A_SANDBOX["bubblewrap"])


@pytest.mark.parametrize("kind", ["controls", "odd", "probes", "policy"])
def test_correct_programs_pass(report, kind):
    assert [name for name, right in report[kind].items() if not right] == []
