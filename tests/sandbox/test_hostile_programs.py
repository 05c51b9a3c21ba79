"""Programs that want to be taken for right, or to do harm: none passes, and the right ones between them all do."""

import pytest
from hostile_programs import HOSTILE, ODD_BUT_RIGHT, POISON_AND_PROBE, RIGHT

from executor.client import grade
from executor.schema import Limits, Status, Submission, Task, Test

TASK = Task(
    task_id="square",
    entry_point="solve",
    tests=tuple(Test(args=[n], expected=n * n + 1) for n in (0, 3, 10, -4)),
)
LIMITS = Limits(cpu_time_s=0.7, wall_time_s=2.0)
# The right programs are controls of the sandbox, not of its speed.
PATIENT = Limits(cpu_time_s=10.0, wall_time_s=30.0)


def fenced(source):
    """As a model would send it; whatever the source is, it is the program."""
    return f"`````python\n{source}\n`````"


@pytest.fixture(scope="module")
def verdicts(executor):
    """One batch in one sandbox: each hostile program, then a right one."""
    submissions = []
    for _, source in HOSTILE.values():
        submissions += [Submission(task=TASK, completion=fenced(source)), Submission(task=TASK, completion=RIGHT)]
    outcomes = grade(executor, submissions, LIMITS)
    return dict(zip(HOSTILE, outcomes[::2], strict=True)), dict(zip(HOSTILE, outcomes[1::2], strict=True))


def test_there_are_enough_of_them():
    assert len(HOSTILE) >= 100
    assert len(ODD_BUT_RIGHT) + len(POISON_AND_PROBE) >= 35


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_program_does_not_pass(verdicts, name):
    allowed, _ = HOSTILE[name]
    outcome = verdicts[0][name]
    assert outcome.status not in (Status.PASSED, Status.INFRA), outcome
    assert not allowed or outcome.status in allowed, outcome


def test_every_control_passes(verdicts):
    assert {name: outcome for name, outcome in verdicts[1].items() if not outcome.passed} == {}


def test_results_before_a_timeout_count(verdicts):
    assert verdicts[0]["sleep_in_last_call"].num_passed == 3
    assert verdicts[0]["a_prefix_of_right_answers"].num_passed == 3
    assert verdicts[0]["loop"].num_passed == 0


@pytest.fixture(scope="module")
def odd_verdicts(executor):
    submissions = [Submission(task=TASK, completion=fenced(source)) for source in ODD_BUT_RIGHT.values()]
    return dict(zip(ODD_BUT_RIGHT, grade(executor, submissions, PATIENT), strict=True))


@pytest.mark.parametrize("name", ODD_BUT_RIGHT)
def test_an_odd_program_that_is_right_passes(odd_verdicts, name):
    assert odd_verdicts[name].passed, odd_verdicts[name]


@pytest.fixture(scope="module")
def probe_verdicts(executor):
    """In one sandbox, in this order: probe (nothing there yet), poison, probe."""
    task = Task(task_id="probe", entry_point="solve", tests=(Test(args=[], expected=False),))
    submissions = []
    for poison, probe in POISON_AND_PROBE.values():
        probing = f"{probe}\ndef solve(): return found"
        for source in (probing, f"{poison}\ndef solve(): return False", probing):
            submissions.append(Submission(task=task, completion=fenced(source)))
    outcomes = grade(executor, submissions, PATIENT)
    triples = zip(outcomes[::3], outcomes[1::3], outcomes[2::3], strict=True)
    return dict(zip(POISON_AND_PROBE, triples, strict=True))


@pytest.mark.parametrize("name", POISON_AND_PROBE)
def test_a_program_leaves_nothing_for_the_next(probe_verdicts, name):
    before, poison, after = probe_verdicts[name]
    assert before.passed, before
    assert poison.passed, poison
    assert after.passed, after
