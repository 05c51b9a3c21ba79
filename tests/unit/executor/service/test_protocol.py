"""Requests read strictly, each error in one line that names its place; what one side writes the other reads."""

import json

import pytest

from executor.grading.pass_at_k import summarize_batch
from executor.grading.rewards import RewardConfig
from executor.grading.tasks import task_from_row
from executor.service.protocol import (
    MalformedBody,
    done_line,
    execution_line,
    execution_of_row,
    grade_body,
    outcome_line,
    outcome_of,
    parse_grade_request,
    parse_run_request,
    run_body,
)
from executor.types import CallResult, Execution, Limits, Outcome, Reward, Run, Status, Submission

TASK = {"task_id": "t", "entry_point": "f", "tests": [{"args": [1], "expected": {"$tuple": [1, "a"]}}]}
ROWS = [
    TASK,
    {"task_id": "r", "entry_point": "f", "reference": "def f(x): return x", "inputs": [[1], [{"$float": "nan"}]]},
    {"task_id": "c", "entry_point": "f", "check": "def check(c): pass", "prompt": "def f():\n", "group": "g"},
    {**TASK, "task_id": "tol", "float_tol": 0.5, "prompt": "p"},
]
LIMITS = Limits(cpu_time_s=1.5, wall_time_s=3, source_bytes=1000)


def body(**changes) -> bytes:
    request = {"tasks": [TASK], "samples": [{"task": 0, "completion": "x"}]} | changes
    return json.dumps({key: value for key, value in request.items() if value is not ...}).encode()


def test_a_batch_survives_the_way():
    tasks = [task_from_row(row) for row in ROWS]
    texts = ["plain", "\ud800 alone", "é\n\x00", '"}]'] * 2
    submissions = [Submission(task=tasks[n % 4], completion=text) for n, text in enumerate(texts)]
    sent = grade_body(submissions, LIMITS, RewardConfig(fraction_coef=0.25))
    assert len(json.loads(sent)["tasks"]) == 4
    read = parse_grade_request(sent)
    assert list(read.submissions) == submissions
    assert (read.limits, read.rewards, read.ks) == (LIMITS, RewardConfig(fraction_coef=0.25), ())


def test_programs_survive_the_way():
    runs = [
        Run(source="s\ud800", entry_point="f", calls=([1, {"$set": [1]}], [])),
        Run(source="", entry_point="", calls=()),
    ]
    read = parse_run_request(run_body(runs, LIMITS))
    assert (list(read.runs), read.limits) == (runs, LIMITS)


def test_what_is_not_named_is_the_service_s_own():
    read = parse_grade_request(body(), LIMITS)
    assert (read.limits, read.rewards, read.ks) == (LIMITS, None, ())
    read = parse_grade_request(body(limits={"cpu_time_s": 1}, rewards={"loads_coef": 2}, ks=[1, 8]), LIMITS)
    assert read.limits == Limits(cpu_time_s=1, wall_time_s=3, source_bytes=1000)
    assert (read.rewards, read.ks) == (RewardConfig(loads_coef=2), (1, 8))


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b'{"tasks": NaN}', b"[" * 9999, b"1" * 5000, b"{} {}"])
def test_what_is_no_json_is_told_apart(text: bytes):
    for parse in (parse_grade_request, parse_run_request):
        with pytest.raises(MalformedBody) as caught:
            parse(text)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"tasks": ...}, "tasks must be a list, and it is missing"),
        ({"samples": {}}, "samples must be a list"),
        ({"sample": []}, "unknown key 'sample'"),
        ({"tasks": [TASK, 5]}, "tasks 1: a task must be a JSON object, not int"),
        ({"tasks": [{**TASK, "tests": []}]}, "tasks 0: task t: tests must be"),
        ({"tasks": [{**TASK, "entry_point": "a b"}]}, "tasks 0: task t: entry_point"),
        ({"samples": [{"task": 0, "completion": "x"}, {"task": 1, "completion": "x"}]}, "samples 1: task must be"),
        ({"samples": [{"task": -1, "completion": "x"}]}, "samples 0: task must be"),
        ({"samples": [{"task": True, "completion": "x"}]}, "samples 0: task must be"),
        ({"samples": [{"task": 0}]}, "samples 0: completion must be a string, not NoneType"),
        ({"samples": [{"task": 0, "completion": "x", "id": 1}]}, "samples 0: unknown key 'id'"),
        ({"limits": 5}, "limits must be a JSON object"),
        ({"limits": {"cpu_s": 1}}, "limits: unknown key 'cpu_s'"),
        ({"limits": {"cpu_time_s": "1"}}, "limits: cpu_time_s must be a number"),
        ({"limits": {"cpu_time_s": True}}, "limits: cpu_time_s must be a number"),
        ({"limits": {"cpu_time_s": 0}}, "limits: cpu_time_s must be above 0"),
        ({"limits": {"memory_bytes": 1.5}}, "limits: memory_bytes must be a number without a fraction"),
        ({"rewards": {"passed": 1}}, "rewards: unknown key 'passed'"),
        ({"rewards": {"passed_coef": -1}}, "rewards: passed_coef must be finite"),
        ({"ks": [1, 0]}, "ks must be a list of integers"),
        ({"ks": "8"}, "ks must be a list of integers"),
        ({"ks": [True]}, "ks must be a list of integers"),
    ],
)
def test_errors_name_their_place(changes: dict, line: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its line is compared below
        parse_grade_request(body(**changes))
    assert not isinstance(caught.value, MalformedBody)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("run", "line"),
    [
        ({"source": 1, "entry_point": "f", "calls": []}, "runs 0: source and entry_point must be strings"),
        ({"source": "", "entry_point": "f", "calls": [1]}, "runs 0: calls must be a list of lists"),
        ({"source": "", "entry_point": "f", "calls": [[{"$odd": 1}]]}, "runs 0: malformed tag"),
        ({"source": "", "entry_point": "f", "calls": [], "stdin": ""}, "runs 0: unknown key 'stdin'"),
    ],
)
def test_errors_of_runs_name_their_place(run: dict, line: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its line is compared below
        parse_run_request(json.dumps({"runs": [run]}).encode())
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize("reward", [None, Reward(total=1.25, parts={"passed": 1.0, "fraction": 0.25})])
def test_outcomes_survive_the_way(reward: Reward | None):
    sent = Outcome(status=Status.WRONG, num_passed=1, num_tests=4, duration_s=0.5, detail="é\n\ud800", queued_s=0.25,
                   reward=reward)  # fmt: skip
    line = outcome_line(3, sent)
    assert line.count(b"\n") == 1
    row = json.loads(line)
    assert (row["index"], row["passed"], outcome_of(row)) == (3, False, sent)


@pytest.mark.parametrize("failure", [None, Status.TIMEOUT])
def test_executions_survive_the_way(failure: Status | None):
    results = (CallResult(value={"$set": [1]}), CallResult(value=None), CallResult(error="KeyError"))
    sent = Execution(failure=failure, results=results, duration_s=0.5, detail="d", queued_s=0.25)
    row = json.loads(execution_line(2, sent))
    assert (row["index"], execution_of_row(row)) == (2, sent)


@pytest.mark.parametrize("wrong", [{}, {"status": "fine"}, {"num_passed": None}, {"reward": 5}, {"duration_s": "x"}])
def test_lines_that_make_no_sense(wrong: dict):
    good = json.loads(outcome_line(0, Outcome(status=Status.PASSED, num_passed=1, num_tests=1, duration_s=0.1)))
    with pytest.raises((KeyError, TypeError, ValueError)):
        outcome_of(good | wrong if wrong else {})


def test_the_last_line():
    assert json.loads(done_line()) == {"done": True}
    tasks = [task_from_row({**TASK, "group": "g"})]
    outcomes = [Outcome(status=Status.PASSED, num_passed=1, num_tests=1, duration_s=0.1)]
    told = json.loads(done_line(summarize_batch(tasks, outcomes, [1])))
    assert told["done"] is True
    count = {"task_id": "t", "group": "g", "num_samples": 1, "num_correct": 1, "pass_at_k": {"1": 1.0}}
    assert told["report"] == {"tasks": [count], "groups": {"g": {"num_tasks": 1, "pass_at_k": {"1": 1.0}}}}
