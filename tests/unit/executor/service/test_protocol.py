"""Requests are parsed strictly and errors name their place; what one side encodes, the other parses."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from executor.grading.pass_at_k import summarize_batch
from executor.grading.rewards import RewardConfig
from executor.grading.tasks import TASK_KEYS, parse_task
from executor.service.models import GradeRequest, LimitsRow, RewardsRow, RunRequest, TaskRow, override
from executor.service.protocol import (
    MalformedBody,
    encode_done,
    encode_execution,
    encode_grade_request,
    encode_outcome,
    encode_run_request,
    parse_execution,
    parse_outcome,
    parse_request,
)
from executor.service.responses import ExecutionLine, GradeDone, OutcomeLine, RunDone
from executor.types import CallResult, Execution, Limits, Outcome, Reward, Run, Status, Submission

TASK = {"task_id": "t", "entry_point": "f", "tests": [{"args": [1], "expected": {"$tuple": [1, "a"]}}]}
ROWS = [
    TASK,
    {"task_id": "r", "entry_point": "f", "reference": "def f(x): return x", "inputs": [[1], [{"$float": "nan"}]]},
    {"task_id": "c", "entry_point": "f", "check": "def check(c): pass", "prompt": "def f():\n", "group": "g"},
    {**TASK, "task_id": "tol", "float_tol": 0.5, "prompt": "p"},
    {**TASK, "task_id": "torch", "profile": "torch"},
    {
        "task_id": "m",
        "entry_point": "Solution.f",
        "tests": [{"args": [[1]], "kwargs": {"n": 2}, "expected": [2]}, {"args": [[0]], "raises": "ValueError"}],
        "result": "args.0",
        "prelude": "leetcode",
        "time_limit_s": 0.5,
        "memory_mib": 64,
    },
    {"task_id": "s", "tests": [{"stdin": "1", "stdout": "2"}], "checker": "print(1)"},
]
PROGRAM = {"source": "", "entry_point": "f", "calls": [[1]]}
FORMS = "a program has either entry_point and calls, or stdin"
LIMITS = Limits(cpu_time_s=1.5, wall_time_s=3, source_bytes=1000)


def encode(**changes: Any) -> bytes:
    request = {"tasks": [TASK], "samples": [{"task": 0, "completion": "x"}]} | changes
    return json.dumps({key: value for key, value in request.items() if value is not ...}).encode()


def describe_error(model: type, body: bytes) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the caller compares its message
        parse_request(model, body)
    assert not isinstance(caught.value, MalformedBody)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_grade_request_round_trip() -> None:
    tasks = [parse_task(row) for row in ROWS]
    texts = ["plain", "\ud800 alone", "é\n\x00", '"}]'] * 2
    submissions = [Submission(task=tasks[n % 7], completion=text) for n, text in enumerate(texts)]
    body = encode_grade_request(submissions, LIMITS, RewardConfig(fraction_coef=0.25))
    assert len(json.loads(body)["tasks"]) == 7
    request = parse_request(GradeRequest, body)
    assert request.build_submissions() == submissions
    assert override(Limits(), request.limits) == LIMITS
    assert request.build_reward_config() == RewardConfig(fraction_coef=0.25)
    assert (request.ks, request.num_programs, request.profiles) == (None, 8, {"cpu", "torch"})


def test_grade_requests_leave_out_solutions() -> None:
    row = TASK | {"solution": "def f(x): ...", "split": "test", "language": "python", "metadata": {"a": 1}}
    body = encode_grade_request([Submission(task=parse_task(row), completion="x")], LIMITS, None)
    assert json.loads(body)["tasks"] == [TASK]
    [submission] = parse_request(GradeRequest, encode(tasks=[row])).build_submissions()
    assert submission.task == parse_task(row)


def test_run_request_round_trip() -> None:
    runs = [
        Run(source="s\ud800", entry_point="f", calls=([1, {"$set": [1]}], [])),
        Run(source="", entry_point="", calls=(), profile="torch"),
        Run(source="print(input())", stdin="é\n".encode()),
        Run(source="", stdin=b"", profile="cuda"),
    ]
    request = parse_request(RunRequest, encode_run_request(runs, LIMITS))
    assert (request.build_runs(), override(Limits(), request.limits)) == (runs, LIMITS)
    assert (request.num_programs, request.profiles) == (4, {"cpu", "torch", "cuda"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"argv": ("a",)}, "argv of a run cannot be sent"),
        ({"files": {"a": "b"}}, "files of a run cannot be sent"),
        ({"prelude": "import os"}, "prelude of a run cannot be sent"),
        ({"stdin": b"\xff"}, "stdin of a run must be UTF-8"),
    ],
)
def test_runs_that_a_request_cannot_hold_are_errors(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_run_request([Run(**({"source": "", "stdin": b""} | changes))], LIMITS)


def test_omitted_settings_keep_their_defaults() -> None:
    request = parse_request(GradeRequest, encode())
    assert override(LIMITS, request.limits) is LIMITS
    assert (request.build_reward_config(), request.ks) == (None, None)
    request = parse_request(GradeRequest, encode(limits={"cpu_time_s": 1}, rewards={"loads_coef": 2}, ks=[1, 8]))
    assert override(LIMITS, request.limits) == Limits(cpu_time_s=1, wall_time_s=3, source_bytes=1000)
    assert (request.build_reward_config(), request.ks) == (RewardConfig(loads_coef=2), [1, 8])


def test_models_have_the_keys_of_the_settings() -> None:
    assert list(LimitsRow.model_fields) == [field.name for field in fields(Limits)]
    assert set(TaskRow.model_fields) == {*TASK_KEYS, "test", "canonical_solution"}
    assert list(RewardsRow.model_fields) == [field.name for field in fields(RewardConfig)]


@pytest.mark.parametrize("model", [GradeRequest, RunRequest])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"tasks": NaN}', b'{"tasks": 1e999}', b"[" * 9999, b"1" * 5000, b"{} {}"]
)
def test_malformed_json_is_distinguished(model: type, body: bytes) -> None:
    with pytest.raises(MalformedBody) as caught:
        parse_request(model, body)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ...}, "tasks is missing"),
        ({"samples": {}}, "samples must be a list, not an object"),
        ({"sample": []}, "unknown key 'sample'; known keys: tasks, samples, limits, rewards, ks"),
        ({"tasks": [TASK, 5]}, "tasks 1 must be a JSON object, not 5"),
        ({"tasks": [{**TASK, "tests": []}]}, "tasks 0: task t: tests must be"),
        ({"tasks": [{**TASK, "entry_point": "a b"}]}, "tasks 0: task t: entry_point"),
        ({"tasks": [{**TASK, "entrypoint": "f"}]}, "tasks 0: unknown key 'entrypoint'; known keys: task_id, "),
        ({"samples": [{"task": 0, "completion": "x"}, {"task": 1, "completion": "x"}]}, "samples 1: task must be"),
        ({"samples": [{"task": -1, "completion": "x"}]}, "samples 0: task must be at least 0, not -1"),
        ({"samples": [{"task": True, "completion": "x"}]}, "samples 0: task must be an integer, not true"),
        ({"samples": [{"task": 0}]}, "samples 0: completion is missing"),
        ({"samples": [{"task": 0, "completion": None}]}, "samples 0: completion must be a string, not null"),
        ({"samples": [{"task": 0, "completion": "x", "id": 1}]}, "samples 0: unknown key 'id'; known keys: task, "),
        ({"limits": 5}, "limits must be a JSON object, not 5"),
        ({"limits": {"cpu_s": 1}}, "limits: unknown key 'cpu_s'; known keys: cpu_time_s, "),
        ({"limits": {"cpu_time_s": "1"}}, 'limits: cpu_time_s must be a number, not "1"'),
        ({"limits": {"cpu_time_s": True}}, "limits: cpu_time_s must be a number, not true"),
        ({"limits": {"memory_bytes": 1.5}}, "limits: memory_bytes must be an integer, not 1.5"),
        ({"rewards": {"passed": 1}}, "rewards: unknown key 'passed'; known keys: passed_coef, "),
        ({"rewards": {"passed_coef": -1}}, "rewards: passed_coef must be"),
        ({"rewards": {"passed_coef": 10**400}}, "rewards: passed_coef must be a number, not 1000"),
        ({"ks": [1, 0]}, "ks 1 must be at least 1, not 0"),
        ({"ks": "8"}, 'ks must be a list, not "8"'),
        ({"ks": [True]}, "ks 0 must be an integer, not true"),
    ],
)
def test_errors_of_grade_requests(changes: dict, message: str) -> None:
    assert describe_error(GradeRequest, encode(**changes)).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": 1}, "runs 1: source must be a string, not 1"),
        ({"calls": [1]}, "runs 1: calls 0 must be a list, not 1"),
        ({"calls": [[{"$odd": 1}]]}, "runs 1: malformed tag"),
        ({"args": ""}, "runs 1: unknown key 'args'; known keys: source, entry_point, calls, stdin, profile"),
        ({"stdin": 1}, "runs 1: stdin must be a string, not 1"),
        ({"stdin": ""}, f"runs 1: {FORMS}; entry_point and stdin are both given"),
        ({"stdin": "", "entry_point": None}, f"runs 1: {FORMS}; calls and stdin are both given"),
        ({"stdin": "\ud800", "entry_point": None, "calls": None}, "runs 1: stdin must be text that UTF-8 can encode"),
        ({"entry_point": None}, f"runs 1: {FORMS}; entry_point is missing"),
        ({"calls": None}, f"runs 1: {FORMS}; calls is missing"),
        ({"profile": "gpu"}, "runs 1: profile must be 'cpu', 'torch' or 'cuda', not \"gpu\""),
    ],
)
def test_errors_of_run_requests(changes: dict, message: str) -> None:
    body = json.dumps({"runs": [PROGRAM, PROGRAM | changes]}).encode()
    assert describe_error(RunRequest, body).startswith(message)


def test_errors_of_whole_bodies() -> None:
    assert describe_error(RunRequest, b"[]") == "the body must be a JSON object, not a list"
    assert describe_error(RunRequest, b"{}") == "runs is missing"
    assert describe_error(RunRequest, b'{"runs": [], "limits": {"cpu_time_s": 1, "cpu_time_s": 2}}') == (
        "duplicate key 'cpu_time_s'"
    )


def test_limits_out_of_range() -> None:
    request = parse_request(GradeRequest, encode(limits={"cpu_time_s": 0}))
    with pytest.raises(ValueError, match="cpu_time_s must be above 0"):
        override(LIMITS, request.limits)


@pytest.mark.parametrize("reward", [None, Reward(total=1.25, parts={"passed": 1.0, "fraction": 0.25})])
def test_outcome_round_trip(reward: Reward | None) -> None:
    outcome = Outcome(
        status=Status.WRONG, num_passed=1, num_tests=4, duration_s=0.5, detail="é\n\ud800", queued_s=0.25, reward=reward
    )
    line = encode_outcome(3, outcome)
    assert line.count(b"\n") == 1
    row = json.loads(line)
    assert (row["index"], row["passed"], parse_outcome(row)) == (3, False, outcome)
    assert OutcomeLine.model_validate(row).model_dump(mode="json") == row


@pytest.mark.parametrize("failure", [None, Status.TIMEOUT])
def test_execution_round_trip(failure: Status | None) -> None:
    results = (CallResult(value={"$set": [1]}), CallResult(value=None), CallResult(error="KeyError"))
    execution = Execution(failure=failure, results=results, duration_s=0.5, detail="d", queued_s=0.25)
    row = json.loads(encode_execution(2, execution))
    assert (row["index"], parse_execution(row)) == (2, execution)
    assert ExecutionLine.model_validate(row).model_dump(mode="json") == row


def test_execution_of_a_whole_program() -> None:
    execution = Execution(failure=Status.EXCEPTION, results=(), stdout="é\n".encode(), exit_code=3, duration_s=0.5)
    row = json.loads(encode_execution(0, execution))
    assert (row["stdout"], row["exit_code"], parse_execution(row)) == ("é\n", 3, execution)
    assert ExecutionLine.model_validate(row).model_dump(mode="json") == row
    row = json.loads(encode_execution(0, replace(execution, stdout=b"a\xff\xed\xa0\x80", exit_code=None)))
    assert (row["stdout"], row["exit_code"]) == ("a" + 4 * "\ufffd", None)
    del row["stdout"], row["exit_code"]  # as a service of version 0.1 sends it
    assert parse_execution(row) == replace(execution, stdout=None, exit_code=None)


@pytest.mark.parametrize("wrong", [{}, {"status": "fine"}, {"num_passed": None}, {"reward": 5}, {"duration_s": "x"}])
def test_invalid_lines(wrong: dict) -> None:
    good = json.loads(encode_outcome(0, Outcome(status=Status.PASSED, num_passed=1, num_tests=1, duration_s=0.1)))
    with pytest.raises((KeyError, TypeError, ValueError)):
        parse_outcome(good | wrong if wrong else {})


def test_last_line() -> None:
    row = json.loads(encode_done())
    assert row == {"done": True} == RunDone.model_validate(row).model_dump()
    tasks = [parse_task({**TASK, "group": "g"})]
    outcomes = [Outcome(status=Status.PASSED, num_passed=1, num_tests=1, duration_s=0.1)]
    row = json.loads(encode_done(summarize_batch(tasks, outcomes, [1])))
    count = {"task_id": "t", "group": "g", "num_samples": 1, "num_correct": 1, "pass_at_k": {"1": 1.0}}
    groups = {"g": {"num_tasks": 1, "pass_at_k": {"1": 1.0}}}
    assert row == {"done": True, "report": {"tasks": [count], "groups": groups}}
    assert GradeDone.model_validate(row).model_dump(mode="json") == row
