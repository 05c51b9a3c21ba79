"""Remote rewards of OpenRLHF and slime."""

import json

import pytest

from executor.integrations.endpoints import add_endpoints
from executor.integrations.endpoints.rewards import read_task_file
from executor.service.app import create_app
from executor.service.settings import ServiceConfig
from executor.types import Status
from tests.support.asgi import exchange
from tests.support.scripted_executor import ScriptedExecutor, executed

ROW = {"task_id": "double", "prompt": "Double it.", "tests": [{"stdin": str(n), "stdout": str(2 * n)} for n in (1, 2)]}
LABEL = json.dumps(ROW)
RESPONSE = "```python\nprint(int(input()) * 2)\n```"


def post(executor, path, request, **keys):
    config = ServiceConfig(compat=("openrlhf", "slime"), **keys)
    app = create_app(executor, config, None)
    add_endpoints(app, config)
    status, body, _ = exchange(app, path, request)
    return status, json.loads(body)


def run_double(run):
    return executed(str(2 * int(run.stdin)).encode())


def run_one_right(run):
    return executed(b"2")


def test_openrlhf_gets_rewards_scores_and_logs():
    prompt = "<|im_start|>user\nDouble it.<|im_end|>\n<|im_start|>assistant\n"
    request = {"query": [f"{prompt}{RESPONSE}<|im_end|>"], "prompts": [prompt], "labels": [LABEL]}
    executor = ScriptedExecutor(run_double)
    assert post(executor, "/openrlhf", request) == (
        200,
        {"rewards": [1.0], "scores": [1.0], "extra_logs": {"fraction_passed": [1.0]}},
    )
    assert executor.submitted[0][0].source == "print(int(input()) * 2)\n"
    assert post(ScriptedExecutor(run_one_right), "/openrlhf", request)[1] == {
        "rewards": [0.0],
        "scores": [0.0],
        "extra_logs": {"fraction_passed": [0.5]},
    }


def test_openrlhf_queries_without_their_prompt_are_422():
    request = {"query": [RESPONSE], "prompts": ["another prompt"], "labels": [LABEL]}
    status, body = post(ScriptedExecutor(), "/openrlhf", request)
    assert (status, body["error"][:10]) == (422, "sample 0: ")
    assert "prompt" in body["error"]


def test_openrlhf_lists_of_different_lengths_are_422():
    status, body = post(ScriptedExecutor(), "/openrlhf", {"query": ["a"], "prompts": ["a"], "labels": []})
    assert (status, body["error"]) == (422, "query, prompts and labels must be of one length, not 1, 1 and 0")


@pytest.mark.parametrize(("run", "number"), [(run_double, 1.0), (run_one_right, 0.0)])
def test_slime_gets_a_number(run, number):
    request = {"prompt": [{"role": "user", "content": "Double it."}], "response": RESPONSE, "label": LABEL}
    assert post(ScriptedExecutor(run), "/slime", request) == (200, number)


@pytest.mark.parametrize("path", ["/slime", "/openrlhf"])
def test_a_fault_of_ours_is_504_which_both_retry(path):
    request = {"response": RESPONSE, "label": ROW, "query": [RESPONSE], "prompts": [""], "labels": [ROW]}
    executor = ScriptedExecutor(lambda run: executed(failure=Status.INFRA, detail="no sandbox"))
    status, body = post(executor, path, request)
    assert status == 504
    assert "no sandbox" in body["error"]


def test_labels_may_be_the_task_ids_of_a_file(tmp_path):
    file = tmp_path / "tasks.jsonl"
    file.write_text(LABEL + "\n\n")
    executor = ScriptedExecutor(run_double)
    assert post(executor, "/slime", {"response": RESPONSE, "label": "double"}, compat_tasks=str(file)) == (200, 1.0)
    status, body = post(executor, "/slime", {"response": RESPONSE, "label": "triple"}, compat_tasks=str(file))
    assert status == 422
    assert '"triple"' in body["error"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{}", "line 1: a task needs task_id"),
        (f"{LABEL}\n{LABEL}", "line 2: a second task with task_id double"),
        (f"{LABEL}\n[1]", "line 2: a task must be an object, not list"),
        (f"{LABEL}\nx", "line 2: a task must be the JSON text of a task row"),
    ],
)
def test_a_file_of_tasks_is_checked_line_by_line(tmp_path, text, named):
    file = tmp_path / "tasks.jsonl"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"compat_tasks: {file} {named}"):
        read_task_file(str(file))


def test_a_file_of_tasks_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="compat_tasks: .*none.jsonl cannot be read: No such file"):
        read_task_file(str(tmp_path / "none.jsonl"))


def test_a_profile_that_this_machine_lacks_is_422():
    row = {"task_id": "t", "entry_point": "f", "profile": "torch", "tests": [{"args": [1], "expected": 1}]}
    status, body = post(ScriptedExecutor(), "/slime", {"response": RESPONSE, "label": row})
    assert (status, body) == (422, {"error": "profile torch does not work here"})
