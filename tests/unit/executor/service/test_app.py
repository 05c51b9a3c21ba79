"""What the app does with a client that leaves, and with a batch that fails on our side: no network, no sandbox."""

import asyncio
import json
import threading
import time

import pytest

from executor.api import LocalExecutor
from executor.service.app import create_app
from executor.service.settings import ServiceConfig
from tests.support.fake_sandbox import FakeBackend

TASK = {"task_id": "t", "entry_point": "f", "tests": [{"args": [], "expected": 1}]}
SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "POST",
    "query_string": b"",
    "root_path": "",
    "headers": [],
    "server": None,
    "client": None,
    "scheme": "http",
    "state": {},
}


def app_over(executor):
    return create_app(executor, ServiceConfig(), None)  # pyright: ignore[reportArgumentType]


def visit(app, path, request, *, may_leave=lambda: False) -> bytes:
    """Post a request and give the body of the answer; the client leaves when it may."""
    messages = [{"type": "http.request", "body": json.dumps(request).encode(), "more_body": False}]
    sent = []

    async def receive():
        while not messages and not may_leave():
            await asyncio.sleep(0.005)
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message) -> None:
        sent.append(message.get("body", b""))

    async def post() -> None:
        scope = {**SCOPE, "path": path, "raw_path": path.encode()}
        await asyncio.wait_for(app(scope, receive, send), 10)

    asyncio.run(post())
    return b"".join(sent)


def batch(number: int) -> dict:
    return {"tasks": [TASK], "samples": [{"task": 0, "completion": str(n)} for n in range(number)]}


class SlowGrading:
    """Takes its time to put a program in line, and never has a verdict."""

    def __init__(self):
        self.num_added = 0
        self.is_cancelled = threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.is_cancelled.set()

    def add(self, submission) -> int:
        time.sleep(0.02)
        self.num_added += 1
        return self.num_added - 1


class OneGrading:
    description = "slow"
    time_factor = 1.0
    is_open = True

    def __init__(self):
        self.one = SlowGrading()

    def grading(self, limits, *, rewards=None, on_result=None, on_error=None):
        return self.one


def test_a_client_that_leaves_while_its_batch_is_put_in_line_has_it_dropped():
    executor = OneGrading()
    app = app_over(executor)
    visit(app, "/v1/grade", batch(20), may_leave=lambda: executor.one.num_added >= 3)  # some are in line, most are not
    assert executor.one.is_cancelled.wait(2)
    assert app.state.service.num_pending == 0


@pytest.mark.parametrize(
    ("path", "broken", "request_"),
    [
        ("/v1/grade", "executor.grading.grader.judge", batch(3)),
        ("/v1/grade", "executor.service.batch.encode_outcome", batch(3)),
        (
            "/v1/run",
            "executor.service.batch.encode_execution",
            {"runs": [{"source": "a", "entry_point": "f", "calls": [[]]}] * 3},
        ),
    ],
)
def test_a_batch_that_fails_on_our_side_ends_without_its_last_line(monkeypatch, path, broken, request_):
    def fail(*args):
        raise ArithmeticError("ours")

    monkeypatch.setattr(broken, fail)
    with LocalExecutor(FakeBackend(), num_workers=1) as executor:
        app = app_over(executor)
        began = time.monotonic()
        answer = visit(app, path, request_)
        assert time.monotonic() - began < 2.0
        assert b"done" not in answer
        assert app.state.service.num_pending == 0


@pytest.mark.parametrize(
    "request_",
    [
        {**batch(1), "rewards": {"passed_coef": 10**400}},
        {**batch(1), "rewards": {"passed_coef": 1e308, "time_coef": 1e308}},
        {"tasks": [{**TASK, "float_tol": 10**400}], "samples": []},
    ],
)
def test_weights_and_tolerances_beyond_the_floats_are_refused(request_):
    app = app_over(OneGrading())
    assert "must be" in json.loads(visit(app, "/v1/grade", request_))["error"]
