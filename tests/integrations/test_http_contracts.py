"""Endpoints whose tools do not install here: the requests of their clients, to a service with real sandboxes."""

import json
from pathlib import Path

import httpx
import pytest

from tests.support.running_service import running_service

OWN_PYTHON = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python"
ASSERTS = ["assert add(1, 2) == 3", "assert add(-1, 1) == 0", "assert add(0, 0) == 1"]
ADD = "def add(a, b):\n    return a + b\n"
ROW = {"task_id": "add", "tests": [{"stdin": "1 2\n", "stdout": "3\n"}]}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    (folder / "tasks.jsonl").write_text(json.dumps(ROW))
    keys = {"compat": ["open_instruct", "slime", "run_code"], "compat_tasks": str(folder / "tasks.jsonl")}
    token = "a-token-that-these-clients-never-send"
    with running_service(folder, token=token, python=OWN_PYTHON, **keys) as served:
        yield served


def post(service, path, body):
    response = httpx.post(f"{service.address}{path}", json=body, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


def test_open_instruct_asserts(service):
    body = post(service, "/test_program", {"program": ADD, "tests": ASSERTS, "max_execution_time": 1.0})
    assert body["results"] == [1, 1, 0]
    assert [runtime >= 0 for runtime in body["runtimes"]] == [True, True, False]
    assert httpx.get(f"{service.address}/health").json() == {"status": "healthy"}


@pytest.mark.parametrize(
    "program",
    [
        "import sys\nsys.exit(0)",
        "import os\ndef add(a, b):\n    os._exit(0)",
        "class Equal(int):\n    def __eq__(self, other):\n        return True\ndef add(a, b):\n    return Equal()",
        "import builtins\nbuiltins.AssertionError = ValueError\ndef add(a, b):\n    return None",
        "def add(a, b):\n    while True:\n        pass",
    ],
)
def test_open_instruct_results_cannot_be_forged(service, program):
    body = post(service, "/test_program", {"program": program, "tests": ASSERTS[:1], "max_execution_time": 0.5})
    assert body == {"results": [0], "runtimes": [-1.0]}


def test_open_instruct_stdin_tests(service):
    program = "a, b = map(int, input().split())\nprint(a + b)"
    tests = [{"input": "5 3", "output": "8"}, {"input": "10 -2", "output": "8"}, {"input": "0 0", "output": "1"}]
    body = post(service, "/test_program_stdio", {"program": program, "tests": tests, "max_execution_time": 1.0})
    assert body["results"] == [1, 1, 0]


@pytest.mark.parametrize("label", ["add", json.dumps(ROW)])
def test_slime_gets_a_number(service, label):
    right = "```python\nprint(sum(map(int, input().split())))\n```"
    request = {"prompt": "Add.", "response": right, "label": label}
    assert post(service, "/slime", request) == 1.0
    assert post(service, "/slime", request | {"response": "```python\nprint(4)\n```"}) == 0.0


def test_run_code_reads_files_and_reports_errors(service):
    request = {"code": "print(open('a.txt').read())", "language": "python", "files": {"a.txt": "w6k="}}
    assert post(service, "/run_code", request)["run_result"]["stdout"] == "é\n"
    body = post(service, "/run_code", request | {"files": {}})
    assert (body["status"], body["run_result"]["return_code"]) == ("Failed", 1)
    assert "FileNotFoundError" in body["run_result"]["stderr"]


def test_the_routes_of_the_service_still_need_the_token(service):
    assert httpx.post(f"{service.address}/v1/run", json={"runs": []}).status_code == 401
    assert httpx.get(f"{service.address}/metrics").status_code == 401
