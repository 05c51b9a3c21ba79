"""Hostile and odd whole programs in real sandboxes: no hostile one passes, every odd but right one does.

In both kinds of sandbox, each time in one of them from the first program to the last, with controls in between. Under
Docker every fourth hostile program runs in the short form of the ring, and all in the long one.
"""

import pytest

from executor.backends.bubblewrap import BubblewrapBackend
from executor.backends.docker.backend import DockerBackend, DockerConfig
from executor.pool.results import describe_end
from executor.types import Limits
from tests.sandbox.hostile_stdin import HOSTILE, ODD_BUT_RIGHT, RIGHT, TESTS
from tests.support.judging import may_time_out
from tests.support.sandbox_driver import SandboxDriver

TIGHT = {"cpu_time_s": 0.8, "wall_time_s": 2.5}  # for programs that may time out
PATIENT = {"cpu_time_s": 10.0, "wall_time_s": 30.0}
MAY_COST_A_SANDBOX: set[str] = set()


@pytest.fixture(scope="module", params=["bubblewrap", "docker"])
def driver(request):
    if request.param == "docker":
        request.getfixturevalue("docker_engine")
        opened = SandboxDriver(DockerBackend(DockerConfig()))
    else:
        request.getfixturevalue("bubblewrap_executor")
        opened = SandboxDriver(BubblewrapBackend())
    yield opened
    opened.close()


def find_status(driver, source, limits):
    """Run a program on every test; return the status of the first that does not pass, and what it printed."""
    for stdin, expected in TESTS:
        reply, stdout = driver.run_stdin(source, stdin, **limits)
        status = judge(reply, stdout, expected, limits)
        if status != "passed":
            return status, reply, stdout[:80]
    return "passed", {}, b""


def judge(reply, stdout, expected, limits):
    if reply["end"] is not None or reply["exit_code"] < 0:
        return describe_end(Limits(**limits), reply)[0].value
    if reply["exit_code"] != 0:
        return "memory" if reply["error"] == "MemoryError" else "exception"
    return "passed" if normalize(stdout) == normalize(expected.encode()) else "wrong"


def normalize(text):
    return [line.rstrip() for line in text.rstrip().split(b"\n")]


def test_number_of_programs_is_large():
    assert len(HOSTILE) >= 80
    assert len(ODD_BUT_RIGHT) >= 30


@pytest.mark.parametrize(
    ("driver", "step"),
    [("bubblewrap", 1), ("docker", 4), pytest.param("docker", 1, marks=pytest.mark.slow)],
    indirect=["driver"],
)
def test_hostile_programs_never_pass_and_have_their_expected_statuses(driver, step):
    wrong, controls, costly = {}, {}, set()
    for name in [*HOSTILE][::step]:
        statuses, source = HOSTILE[name]
        before = driver.num_replaced
        found = find_status(driver, source, TIGHT if may_time_out(statuses) else PATIENT)
        if found[0] in ("passed", "infra") or (statuses and found[0] not in statuses):
            wrong[name] = found
        if driver.num_replaced > before:
            costly.add(name)
        control = find_status(driver, RIGHT, PATIENT)
        if control[0] != "passed":
            controls[name] = control
    assert wrong == {}
    assert controls == {}
    assert costly <= MAY_COST_A_SANDBOX


def test_odd_programs_that_are_right_pass(driver):
    found = {name: find_status(driver, source, PATIENT) for name, source in ODD_BUT_RIGHT.items()}
    assert {name: triple for name, triple in found.items() if triple[0] != "passed"} == {}
