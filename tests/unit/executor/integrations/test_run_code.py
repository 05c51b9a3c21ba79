"""/run_code in the words of SandboxFusion, by verl's requests."""

import base64
import json
import time

import pytest

from executor.integrations.endpoints import add_endpoints
from executor.service.app import create_app
from executor.service.settings import ServiceConfig
from executor.types import Status
from tests.support.asgi import exchange
from tests.support.scripted_executor import ScriptedExecutor, executed

FROM_VERL = {
    "compile_timeout": 10,
    "run_timeout": 10,
    "code": "print(input())",
    "stdin": "1\n",
    "memory_limit_MB": 1024,
    "language": "python",
    "files": {},
    "fetch_files": [],
}


def post(executor, request, **keys):
    config = ServiceConfig(compat=("run_code",), **keys)
    app = create_app(executor, config, None)
    add_endpoints(app, config)
    status, body, _ = exchange(app, "/run_code", request)
    return status, json.loads(body), app


def test_run_code_returns_what_a_program_wrote():
    executor = ScriptedExecutor(lambda run: executed(run.stdin + b"\xff"))
    status, body, app = post(executor, FROM_VERL)
    assert status == 200
    assert body == {
        "status": "Success",
        "message": "",
        "compile_result": None,
        "run_result": {
            "status": "Finished",
            "execution_time": 0.5,
            "return_code": 0,
            "stdout": "1\n�",
            "stderr": "",
        },
        "executor_pod_name": None,
        "files": {},
    }
    [(run, limits)] = executor.submitted
    assert (run.source, run.stdin) == ("print(input())", b"1\n")
    assert (limits.cpu_time_s, limits.wall_time_s, limits.memory_bytes) == (10, 20, 1 << 30)
    assert app.state.service.num_pending == 0
    assert app.state.service.metrics.outcomes.labels("ok")._value.get() == 1


@pytest.mark.parametrize(
    ("execution", "status", "run_status", "return_code"),
    [
        (executed(b"a", Status.EXCEPTION, exit_code=3, detail="exit code 3"), "Failed", "Finished", 3),
        (executed(b"a", Status.TIMEOUT), "Failed", "TimeLimitExceeded", None),
        (executed(b"a", Status.MEMORY), "Failed", "Finished", -9),
        (executed(b"a", Status.CRASH, exit_code=-11), "Failed", "Finished", -11),
        (executed(b"a", Status.OUTPUT_LIMIT), "Failed", "Finished", 1),
        (executed(b"a", Status.LOAD_ERROR, exit_code=1), "Failed", "Finished", 1),
    ],
)
def test_run_code_of_a_failed_program(execution, status, run_status, return_code):
    http_status, body, _ = post(ScriptedExecutor(lambda run: execution), FROM_VERL)
    result = body["run_result"]
    assert (http_status, body["status"], result["status"], result["return_code"]) == (
        200,
        status,
        run_status,
        return_code,
    )
    assert (result["stdout"], result["stderr"]) == ("a", execution.detail)


def test_run_code_tries_a_fault_of_ours_twice_and_then_answers_504():
    executor = ScriptedExecutor(lambda run: executed(failure=Status.INFRA, detail="no sandbox"))
    status, body, app = post(executor, FROM_VERL)
    assert (status, len(executor.submitted)) == (504, 2)
    assert "no sandbox" in body["error"]
    assert app.state.service.num_pending == 0
    faults = iter([executed(failure=Status.INFRA), executed(b"2\n")])
    status, body, _ = post(ScriptedExecutor(lambda run: next(faults)), FROM_VERL)
    assert (status, body["run_result"]["stdout"]) == (200, "2\n")


@pytest.mark.parametrize(("full", "draining"), [(True, False), (False, True)])
def test_run_code_with_a_full_queue_or_at_shutdown_is_504(full, draining):
    config = ServiceConfig(compat=("run_code",), max_waiting_programs=10)
    app = create_app(ScriptedExecutor(), config, None)  # pyright: ignore[reportArgumentType]
    add_endpoints(app, config)
    app.state.service.num_pending = 10 * full
    app.state.service.is_draining = draining
    status, _, headers = exchange(app, "/run_code", FROM_VERL)
    assert (status, "retry-after" in headers) == (504, True)


def test_run_code_with_a_queue_too_long_is_504_before_verl_gives_up(monkeypatch):
    monkeypatch.setattr("executor.integrations.endpoints.run_code.QUEUE_S", 0.02)
    executor = ScriptedExecutor(lambda run: None)
    began = time.monotonic()
    status, body, app = post(executor, FROM_VERL | {"run_timeout": 0.02, "compile_timeout": 0.02})
    assert status == 504
    assert "queue is too long" in body["error"]
    assert time.monotonic() - began >= 0.06
    assert (executor.num_cancelled, app.state.service.num_pending) == (1, 0)


def test_run_code_wall_time_is_that_of_this_machine():
    executor = ScriptedExecutor()
    executor.time_factor = 2.0
    post(executor, FROM_VERL)
    [(_, limits)] = executor.submitted
    assert (limits.cpu_time_s, limits.wall_time_s) == (10, 10)  # the executor doubles both: 20 s each


def test_run_code_limits_are_at_most_those_of_the_service():
    executor = ScriptedExecutor()
    post(executor, FROM_VERL | {"run_timeout": 1000, "compile_timeout": 1000, "memory_limit_MB": 1 << 20})
    post(executor, FROM_VERL | {"memory_limit_MB": -1})
    post(executor, FROM_VERL | {"memory_limit_MB": None})
    [(_, most), (_, plain), (_, null)] = executor.submitted
    assert null == plain
    assert (most.cpu_time_s, most.wall_time_s, most.memory_bytes) == (60, 120, 2 << 30)
    assert plain.memory_bytes == 256 << 20


def test_run_code_files_are_those_of_the_working_directory():
    executor = ScriptedExecutor()
    content = base64.b64encode("é".encode()).decode()
    assert post(executor, FROM_VERL | {"files": {"a.txt": content, "b.txt": None}})[0] == 200
    assert executor.submitted[0][0].files == {"a.txt": "é"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"language": "cpp"}, "language must be python, not 'cpp'"),
        ({"fetch_files": ["out.txt"]}, "fetch_files"),
        ({"files": {"../a": ""}}, "files: a name"),
        ({"files": {"a/b": ""}}, "files: a name"),
        ({"files": {"": ""}}, "files: a name"),
        ({"files": {"a": "é"}}, "files: a must be UTF-8 text in base64"),
        ({"files": {"a": "gA=="}}, "files: a must be UTF-8 text in base64"),  # the byte 0x80
        ({"run_timeout": 0}, "run_timeout"),
        ({"code": 1}, "code"),
        ({"stdin": "\ud800"}, "stdin"),
    ],
)
def test_run_code_names_what_is_wrong(changes, named):
    executor = ScriptedExecutor()
    status, body, _ = post(executor, FROM_VERL | changes)
    assert status == 422
    assert named in body["error"]
    assert executor.submitted == []


def test_a_client_that_goes_away_frees_its_place(monkeypatch):
    monkeypatch.setattr("executor.integrations.endpoints.programs.DISCONNECT_POLL_S", 0.01)
    config = ServiceConfig(compat=("run_code",))
    executor = ScriptedExecutor(lambda run: None)
    app = create_app(executor, config, None)  # pyright: ignore[reportArgumentType]
    add_endpoints(app, config)
    exchange(app, "/run_code", FROM_VERL, disconnects=lambda: bool(executor.submitted))
    assert executor.num_cancelled == 1
    assert app.state.service.num_pending == 0


def test_endpoints_are_off_by_default():
    config = ServiceConfig()
    app = create_app(ScriptedExecutor(), config, None)  # pyright: ignore[reportArgumentType]
    add_endpoints(app, config)
    for path in ("/run_code", "/test_program", "/test_program_stdio", "/openrlhf", "/slime"):
        assert exchange(app, path, FROM_VERL)[0] == 404
