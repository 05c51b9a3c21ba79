"""What the app does for a client that leaves while its batch is still being put in line: no network, no sandbox."""

import asyncio
import json
import threading
import time

from executor.service.app import create_app
from executor.service.settings import ServiceSettings

TASK = {"task_id": "t", "entry_point": "f", "tests": [{"args": [], "expected": 1}]}


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

    def grading(self, limits, *, rewards=None, on_result=None):
        return self.one


def test_a_client_that_leaves_while_its_batch_is_put_in_line_has_it_dropped():
    executor = OneGrading()
    app = create_app(executor, ServiceSettings(), None)  # pyright: ignore[reportArgumentType]
    body = json.dumps({"tasks": [TASK], "samples": [{"task": 0, "completion": str(n)} for n in range(20)]}).encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}, {"type": "http.disconnect"}]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/grade",
        "raw_path": b"/v1/grade",
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "server": None,
        "client": None,
        "scheme": "http",
        "state": {},
    }

    async def receive():
        if messages[0]["type"] == "http.disconnect":
            while executor.one.num_added < 3:  # some are in line, most are not
                await asyncio.sleep(0.005)
            return messages[0]
        return messages.pop(0)

    async def send(message) -> None:
        pass

    async def visit() -> None:
        await asyncio.wait_for(app(scope, receive, send), 10)

    asyncio.run(visit())
    assert executor.one.is_cancelled.wait(2)
    assert app.state.service.num_pending == 0
