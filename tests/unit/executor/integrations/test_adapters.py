"""Adapters that import their tool nowhere: TRL, verl, lm-evaluation-harness; and the executor they share."""

import json
import pickle

import pytest

from executor.integrations import grading
from executor.integrations.lm_eval import build_predictions, pass_at_k, read_reference
from executor.integrations.openrlhf import reward_func
from executor.integrations.trl import reward
from executor.integrations.verl import compute_score
from executor.types import Status
from tests.support.fake_executor import FakeExecutor
from tests.support.optional import needs_torch

ROW = json.dumps({"task_id": "t", "entry_point": "f", "tests": [{"args": [1], "expected": 2}]})
STATUSES = {"right": Status.PASSED, "wrong": Status.WRONG, "fault": Status.INFRA}


@pytest.fixture
def executor(monkeypatch):
    """The executor of every backend."""
    fake = FakeExecutor(lambda submission: STATUSES[submission.completion])
    monkeypatch.setattr(grading, "open_executor", lambda name: fake)
    monkeypatch.setattr(grading, "_executors", {})
    return fake


def test_trl_gets_none_for_a_fault_of_ours(executor):
    logged = {}
    found = reward()(
        prompts=["p"] * 3,
        completions=["right", [{"role": "assistant", "content": "wrong"}], "fault"],
        completion_ids=[[1]] * 3,
        task=[ROW] * 3,
        trainer_state=None,
        log_extra=None,
        log_metric=logged.__setitem__,
    )
    assert found == [1.0, 0.0, None]
    assert logged == {"atomforge/infra": pytest.approx(1 / 3)}
    assert [one.completion for one in executor.submissions] == ["right", "wrong", "fault", "fault"]  # once more


def test_trl_rewards_are_weighted_and_pickled(executor):
    function = pickle.loads(pickle.dumps(reward(passed_coef=2.0, loads_coef=0.5)))
    assert function(prompts=["p", "p"], completions=["right", "wrong"], task=[ROW, ROW]) == [2.5, 0.5]
    assert function.__name__ == "atomforge"


def test_trl_prompts_of_plain_text_belong_to_the_task(executor):
    chat = [{"role": "user", "content": "p"}]
    reward()(prompts=["def f(x):", chat], completions=["right", "right"], task=[ROW, ROW])
    assert [one.task.prompt for one in executor.submissions] == ["def f(x):", None]


def test_verl_gets_a_score_and_whether_it_was_a_fault_of_ours(executor):
    assert compute_score("taco", "right", ROW, {"split": "train"}, sandbox_fusion_url=None) == {
        "score": 1.0,
        "passed": 1.0,
        "fraction_passed": 1.0,
        "infra": 0,
    }
    fault = compute_score("taco", "fault", json.loads(ROW))
    assert fault == {"score": 0.0, "passed": 0.0, "fraction_passed": 0.0, "infra": 1}
    assert compute_score("taco", "wrong", ROW, rewards={"loads_coef": 0.1})["score"] == pytest.approx(0.1)


@needs_torch
def test_openrlhf_gets_tensors_and_an_error_for_a_fault_of_ours(executor):
    found = reward_func(["pright", "pwrong"], ["p", "p"], [ROW, ROW])
    assert found["rewards"].tolist() == found["scores"].tolist() == [1.0, 0.0]
    assert found["extra_logs"]["fraction_passed"].tolist() == [1.0, 0.0]
    with pytest.raises(RuntimeError, match="could not be graded"):
        reward_func(["pfault"], ["p"], [ROW])


HUMAN_EVAL = "METADATA = {}\n\n\ndef check(candidate):\n    assert candidate(1) == 2\n\ncheck(f)"


def test_lm_eval_gets_pass_at_k(executor):
    found = pass_at_k([HUMAN_EVAL, HUMAN_EVAL], [["right", "wrong", "wrong", "wrong"], ["right"] * 4], k=[1, 2])
    assert found == {"pass@1": pytest.approx((0.25 + 1) / 2), "pass@2": pytest.approx((0.5 + 1) / 2)}
    with pytest.raises(RuntimeError, match="could not be graded"):
        pass_at_k([HUMAN_EVAL], [["fault"]], k=1)


def test_lm_eval_references_are_checks_or_asserts():
    task = read_reference(HUMAN_EVAL)
    assert (task.entry_point, task.check) == ("f", HUMAN_EVAL.removesuffix("check(f)"))
    asserts = read_reference("assert g(1) == 2\nassert g(2) == 3\n")
    assert (asserts.entry_point, asserts.check.count("assert")) == ("g", 2)
    with pytest.raises(ValueError, match="a reference must be Python, not 'assert f\\('"):
        read_reference("assert f(")
    assert build_predictions([["a", "b"]], [{"prompt": "p"}]) == [["pa", "pb"]]


def test_one_executor_for_each_backend_of_a_process(monkeypatch):
    opened = []

    def open_executor(name):
        opened.append(name)
        return FakeExecutor()

    monkeypatch.setattr(grading, "open_executor", open_executor)
    monkeypatch.setattr(grading, "_executors", {})
    monkeypatch.delenv(grading.BACKEND_VARIABLE, raising=False)
    assert grading.get_executor() is grading.get_executor("auto")
    monkeypatch.setenv(grading.BACKEND_VARIABLE, "bubblewrap")
    assert grading.get_executor() is grading.get_executor("bubblewrap")
    monkeypatch.setattr(grading.os, "getpid", lambda: 0)  # as after a fork
    grading.get_executor()
    assert opened == ["auto", "bubblewrap", "bubblewrap"]
