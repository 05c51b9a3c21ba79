"""open-instruct's routes: results test by test, in its forms of tests."""

import base64
import json
import pickle
import zlib

import pytest

from executor.integrations.endpoints import add_endpoints
from executor.service.app import create_app
from executor.service.settings import ServiceConfig
from executor.types import Status
from tests.support.asgi import exchange
from tests.support.scripted_executor import ScriptedExecutor, executed

ADD = "def add(a, b):\n    return a + b\n"
ASSERTS = ["assert add(1, 2) == 3", "assert add(-1, 1) == 0", "assert add(0, 0) == 1"]


def post(executor, path, request, **keys):
    config = ServiceConfig(compat=("open_instruct",), **keys)
    app = create_app(executor, config, None)
    add_endpoints(app, config)
    status, body, _ = exchange(app, path, request)
    return status, json.loads(body)


def pack(tests):
    """Encode tests as open-instruct's `encode_tests` does."""
    return compress(pickle.dumps(tests))


def compress(data):
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize("encode", [list, json.dumps, pack])
def test_asserts_are_graded_one_by_one_as_checks(encode):
    executor = ScriptedExecutor(check_program=lambda task, _: Status.WRONG if "== 1" in task.check else Status.PASSED)
    request = {"program": ADD, "tests": encode(ASSERTS), "max_execution_time": 1.5}
    status, body = post(executor, "/test_program", request)
    assert (status, body) == (200, {"results": [1, 1, 0], "runtimes": [0.25, 0.25, -1.0]})
    task, program, limits = executor.checked[0]
    assert (task.entry_point, program.strip()) == ("add", ADD.strip())
    assert task.check == "def check(candidate):\n    add = candidate\n    assert add(1, 2) == 3\n"
    assert (limits.cpu_time_s, limits.wall_time_s) == (1.5, 4.5)


def test_stdin_tests_are_graded_one_by_one():
    executor = ScriptedExecutor(lambda run: executed(b"8\n") if b"5 3" in run.stdin else executed(b"0.50"))
    tests = [{"input": "5 3", "output": "8"}, {"input": "1", "output": "8"}, {"input": "2", "output": "0.5"}]
    program = "a, b = map(int, input().split())\nprint(a + b)"
    status, body = post(executor, "/test_program_stdio", {"program": program, "tests": tests})
    assert (status, body) == (200, {"results": [1, 0, 1], "runtimes": [0.5, -1.0, 0.5]})
    assert executor.submitted[0][0].source.strip() == program


def test_no_tests_have_no_results():
    assert post(ScriptedExecutor(), "/test_program", {"program": ADD, "tests": []}) == (
        200,
        {"results": [], "runtimes": []},
    )


class Evil:
    def __reduce__(self):
        return print, ("this must not run",)


@pytest.mark.parametrize(
    ("tests", "named"),
    [
        (["assert decode(encode(1)) == 1"], "tests 0: the asserts use encode in addition to decode"),
        ([ASSERTS[0], "assert add("], "tests 1: the assert 'assert add(' is"),
        ([ASSERTS[0], "assert 1 == 1"], "tests 1: the assert 'assert 1 == 1' calls no function"),
        ([1], "tests 0: asserts must be"),
        ({"a": 1}, "tests must be a list, not dict"),
        ("nonsense!", "tests must be a list, or its text in JSON or compressed"),
        (pack([Evil()]), "tests holds a pickle of something other than texts"),
        (compress(b"]r\xff\xff\xff\x7f" * 2 + b"."), "tests holds a pickle"),  # a memo of 2 GiB entries
        (compress(b"\x96" + (1 << 40).to_bytes(8, "little") + b"."), "tests holds a pickle"),  # a bytearray of 1 TiB
        (compress(b"\x95" + b"\xff" * 8 + b"."), "tests holds a pickle"),
        (compress(b"}]Ns."), "tests holds a pickle"),
        (compress(b"N" * (5 << 20) + b"."), "tests holds a pickle"),
    ],
)
def test_an_assert_that_cannot_be_graded_is_422_and_never_a_result(tests, named, capsys):
    executor = ScriptedExecutor()
    status, body = post(executor, "/test_program", {"program": ADD, "tests": tests})
    assert status == 422
    assert named in body["error"]
    assert "\n" not in body["error"]
    assert executor.checked == []
    assert capsys.readouterr().out == ""


def test_a_stdin_test_without_an_output_is_422():
    status, body = post(ScriptedExecutor(), "/test_program_stdio", {"program": ADD, "tests": [{"input": "1"}]})
    assert (status, body) == (422, {"error": 'tests 0 must be {"input": str, "output": str}'})


def test_a_fault_of_ours_is_504_after_a_second_attempt_at_its_test_alone():
    statuses = iter([Status.PASSED, Status.INFRA, Status.PASSED, Status.PASSED])
    executor = ScriptedExecutor(check_program=lambda *_: next(statuses))
    assert post(executor, "/test_program", {"program": ADD, "tests": ASSERTS})[1]["results"] == [1, 1, 1]
    assert [task.task_id for task, *_ in executor.checked] == ["0", "1", "2", "1"]
    always = ScriptedExecutor(check_program=lambda *_: Status.INFRA)
    assert post(always, "/test_program", {"program": ADD, "tests": ASSERTS})[0] == 504


def test_more_tests_than_the_queue_can_hold_are_413():
    request = {"program": ADD, "tests": ASSERTS}
    assert post(ScriptedExecutor(), "/test_program", request, max_waiting_programs=2)[0] == 413


def test_health_is_that_of_the_service():
    config = ServiceConfig(compat=("open_instruct",))
    app = create_app(ScriptedExecutor(), config, None)  # pyright: ignore[reportArgumentType]
    add_endpoints(app, config)
    assert json.loads(exchange(app, "/health", None, method="GET")[1]) == {"status": "healthy"}
    app.state.service.is_draining = True
    assert exchange(app, "/health", None, method="GET")[0] == 503
