"""verl's own scorer on the service's /run_code, and our compute_score as verl loads it."""

import json
import threading
from pathlib import Path

import pytest

pytest.importorskip("verl")

from verl.utils.import_utils import load_extern_object
from verl.utils.reward_score import default_compute_score
from verl.utils.reward_score.sandbox_fusion import utils

from tests.support.running_service import running_service

OWN_PYTHON = Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python"
STDIN = json.dumps({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "8\n"]})  # the second is wrong
CALL = json.dumps({"inputs": ["1\n2", "3\n4"], "outputs": ["3", "7"], "fn_name": "add"})
SUM = "```python\nprint(sum(map(int, input().split())))\n```"
ADD = "```python\ndef add(a, b):\n    return a + b\n```"
METHOD = "```python\nclass Solution:\n    def add(self, a, b):\n        return a + b\n```"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    with running_service(folder, token=None, python=OWN_PYTHON, compat=["run_code"]) as served:
        yield served


@pytest.mark.parametrize(
    ("completion", "truth", "score"),
    [
        (SUM, STDIN, 0.5),
        (ADD, CALL, 1.0),
        (METHOD, CALL, 1.0),
        ("```python\nraise ValueError\n```", STDIN, 0.0),
        ("```python\ndef add(\n```", CALL, 0.0),
        ("no program", STDIN, 0.0),
    ],
)
def test_the_scorer_of_verl_works_unchanged(service, completion, truth, score):
    url = f"{service.address}/run_code"
    options = {"sandbox_fusion_url": url, "concurrent_semaphore": threading.Semaphore(8), "memory_limit_mb": 1024}
    assert default_compute_score("taco", completion, truth, **options) == score


@pytest.mark.parametrize(
    ("code", "status", "code_of_verl"),
    [
        ("while True: pass", "timeout", -3),
        ("import sys; sys.exit(2)", "runtime_error", -2),
        ("x = bytearray(1 << 40)", "runtime_error", -2),
        ("import os; os.kill(os.getpid(), 9)", "runtime_error", -2),
        ("print(input())", "success", True),
        ("print(2)", "wrong_answer", False),
    ],
)
def test_verl_understands_every_kind_of_end(service, code, status, code_of_verl):
    truth = {"inputs": ["1\n"], "outputs": ["1\n"]}
    results, [metadata] = utils.check_correctness(f"{service.address}/run_code", truth, code, timeout=1)
    assert (results, metadata["status"]) == ([code_of_verl], status)


def test_verl_repeats_a_request_at_a_full_queue(tmp_path, monkeypatch):
    monkeypatch.setattr(utils, "INITIAL_RETRY_DELAY", 0.5)
    code = "import time; time.sleep(0.4); print(input())"
    truth = {"inputs": ["1", "2"], "outputs": ["1", "2"]}
    keys = {"compat": ["run_code"], "max_waiting_programs": 1}
    with running_service(tmp_path, token=None, python=OWN_PYTHON, **keys) as served:
        results, _ = utils.check_correctness(f"{served.address}/run_code", truth, code, timeout=5)
        assert results == [True, True]
        assert served.metric("atomforge_executor_rejects_total") >= 1


@pytest.mark.parametrize(("completion", "truth", "score"), [(SUM, STDIN, 0.0), (ADD, CALL, 1.0), (METHOD, CALL, 1.0)])
def test_our_compute_score_is_loaded_as_the_docs_say(completion, truth, score):
    compute_score = load_extern_object("pkg://executor.integrations.verl", "compute_score")
    found = compute_score("taco", completion, truth, extra_info={"index": 0}, executor="bubblewrap")
    assert (found["score"], found["infra"]) == (score, 0)
    assert found["fraction_passed"] == (0.5 if truth is STDIN else 1.0)
