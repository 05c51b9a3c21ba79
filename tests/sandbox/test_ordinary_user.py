"""The same programs when the executor runs as an ordinary user, with a user namespace in place of root."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from hostile_programs import HOSTILE

from executor.backends.sandbox import interpreter

USER_ID = 61234
SCRIPT = Path(__file__).with_name("as_ordinary_user.py")
WORKS = "import sys; sys.exit(sys.version_info < (3, 11))"


def run_as_user(command):
    return subprocess.run(
        command, user=USER_ID, group=USER_ID, extra_groups=[], cwd="/", capture_output=True, text=True, timeout=280
    )


def usable_interpreter():
    for python in (str(interpreter()), "/usr/bin/python3"):
        try:
            if run_as_user([python, "-c", WORKS]).returncode == 0:
                return python
        except OSError:
            continue
    return None


def test_nothing_passes_and_every_control_does():
    if os.geteuid() != 0:
        pytest.skip("not root: test_hostile_programs.py has run as an ordinary user already")
    python = usable_interpreter()
    if python is None:
        pytest.skip("no Python of at least 3.11 that an ordinary user can start")
    done = run_as_user([python, "-B", str(SCRIPT)])
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert "user namespace" in report["description"]
    wrong = {
        name: status
        for name, status in report["hostile"].items()
        if HOSTILE[name][0] and status not in HOSTILE[name][0]
    }
    assert "passed" not in report["hostile"].values()
    assert wrong == {}
    for kind in ("controls", "odd", "probes"):
        assert {name: status for name, status in report[kind].items() if status != "passed"} == {}
