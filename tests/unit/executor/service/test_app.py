"""The app without network and sandboxes: clients that disconnect, batches that fail, values out of range."""

import json
import threading
import time

import pytest

from executor.api import LocalExecutor
from executor.service.app import create_app
from executor.service.settings import ServiceConfig
from tests.support.asgi import exchange, post
from tests.support.fake_sandbox import FakeBackend

TASK = {"task_id": "t", "entry_point": "f", "tests": [{"args": [], "expected": 1}]}


def build_app(executor, **keys):
    return create_app(executor, ServiceConfig(**keys), None)  # pyright: ignore[reportArgumentType]


def make_request(number: int) -> dict:
    return {"tasks": [TASK], "samples": [{"task": 0, "completion": str(n)} for n in range(number)]}


class SlowGrading:
    """Takes 20 ms to add a program, and never has an outcome."""

    def __init__(self):
        self.num_added = 0
        self.is_cancelled = threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.num_added_before_exit = self.num_added
        self.is_cancelled.set()

    def add(self, submission) -> int:
        time.sleep(0.02)
        self.num_added += 1
        return self.num_added - 1


class SlowExecutor:
    description = "slow"
    time_factor = 1.0
    is_open = True

    def __init__(self):
        self.opened = SlowGrading()

    def grading(self, limits, *, rewards=None, on_result=None, on_error=None):
        return self.opened


def test_disconnect_while_programs_are_added_drops_the_batch():
    executor = SlowExecutor()
    app = build_app(executor)
    post(app, "/v1/grade", make_request(20), disconnects=lambda: executor.opened.num_added >= 3)
    assert executor.opened.is_cancelled.wait(30)
    assert executor.opened.num_added_before_exit < 20
    assert app.state.service.num_pending == 0


@pytest.mark.parametrize(
    ("path", "broken", "request_"),
    [
        ("/v1/grade", "executor.grading.grader.grade_execution", make_request(3)),
        ("/v1/grade", "executor.service.batch.encode_outcome", make_request(3)),
        (
            "/v1/run",
            "executor.service.batch.encode_execution",
            {"runs": [{"source": "a", "entry_point": "f", "calls": [[]]}] * 3},
        ),
    ],
)
def test_internal_error_ends_the_response_without_its_last_line(monkeypatch, path, broken, request_):
    def fail(*args):
        raise ArithmeticError("ours")

    monkeypatch.setattr(broken, fail)
    with LocalExecutor(FakeBackend(), num_workers=1) as executor:
        app = build_app(executor)
        response = post(app, path, request_)  # fails after 60 s
        assert b"done" not in response
        assert app.state.service.num_pending == 0


@pytest.mark.parametrize(
    "request_",
    [
        {**make_request(1), "rewards": {"passed_coef": 10**400}},
        {**make_request(1), "rewards": {"passed_coef": 1e308, "time_coef": 1e308}},
        {"tasks": [{**TASK, "float_tol": 10**400}], "samples": []},
    ],
)
def test_weights_and_tolerances_beyond_the_floats_are_rejected(request_):
    app = build_app(SlowExecutor())
    assert "must be" in json.loads(post(app, "/v1/grade", request_))["error"]


def test_full_queue_is_429_with_retry_after_and_a_batch_over_its_size_413():
    app = build_app(SlowExecutor(), max_waiting_programs=10)
    app.state.service.num_pending = 8
    status, body, headers = exchange(app, "/v1/grade", make_request(3))
    assert (status, headers["retry-after"]) == (429, "1")  # one program too many, at a rate of at least 1/s
    assert "max_waiting_programs is 10" in json.loads(body)["error"]
    assert exchange(app, "/v1/grade", make_request(11))[0] == 413


def test_draining_service_is_503():
    app = build_app(SlowExecutor())
    app.state.service.is_draining = True
    status, _, headers = exchange(app, "/v1/grade", make_request(1))
    assert (status, headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"cpu_time_s": 61}, "limits: cpu_time_s must be at most 60.0, not 61"),
        ({"cpu_time_s": 0}, "limits: cpu_time_s must be above 0"),
        ({"memory_bytes": 1}, "limits: memory_bytes must be an integer from 33554432"),
    ],
)
def test_limits_out_of_range_are_rejected(limits, error):
    status, body, _ = exchange(build_app(SlowExecutor()), "/v1/grade", make_request(1) | {"limits": limits})
    assert status == 422
    assert json.loads(body)["error"].startswith(error)


def test_body_over_the_limit_is_413_and_malformed_json_400():
    app = build_app(SlowExecutor(), max_body_bytes=100)
    assert exchange(app, "/v1/grade", {"tasks": ["x" * 100]})[0] == 413
    assert exchange(app, "/v1/grade", float("nan"))[0] == 400
