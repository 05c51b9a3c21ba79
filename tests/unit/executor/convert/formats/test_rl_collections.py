"""Eurus: chats, stdin tests, and calls as texts or lists. DeepCoder: the configs are told apart by their tests."""

import json

import pytest

from executor.convert.columns import SkipRow
from executor.convert.formats.rl_collections import convert_deepcoder, convert_eurus
from tests.unit.executor.convert.example_rows import (
    ADD,
    DEEPCODER_CODEFORCES,
    DEEPCODER_LCB,
    DEEPCODER_PRIME,
    DEEPCODER_TACO,
    EURUS,
    EURUS_CALL,
    TWICE,
)


def test_stdin_of_eurus():
    task = convert_eurus(EURUS)
    assert task.pop("task_id").startswith("eurus/")
    assert task == {
        "prompt": "Print the sum of two integers.\n\n"
        "Write a Python program that reads standard input and writes standard output.\n",
        "tests": [{"stdin": "1 2\n", "stdout": "3\n"}],
        "language": "en",
        "group": "taco",
        "metadata": {"source": "taco"},
    }


def test_calls_as_lines_of_json_of_eurus():
    task = convert_eurus(EURUS_CALL)
    assert (task["entry_point"], task["tests"]) == ("repeat", [{"args": ["ab", 2], "expected": "abab"}])


def test_calls_as_lists_of_eurus():
    truth = json.dumps({"inputs": [["ab", 2]], "outputs": [["abab"]], "fn_name": "repeat"})
    task = convert_eurus({**EURUS_CALL, "reward_model": {"ground_truth": truth}})
    assert task["tests"] == [{"args": ["ab", 2], "expected": "abab"}]


def test_starter_code_in_the_statement_of_eurus():
    prompt = [{"role": "user", "content": "Do it.\n```python\nclass Solution:\n    def repeat(self, a, b):\n```"}]
    assert convert_eurus({**EURUS_CALL, "prompt": prompt})["entry_point"] == "Solution.repeat"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ability": "math"}, "not a coding task"),
        ({"prompt": []}, "malformed: prompt has no message of a user"),
        ({"prompt": ["x"]}, "malformed: prompt must be a list of messages"),
        ({"prompt": "x"}, "malformed: prompt is not JSON"),
        ({"reward_model": None}, "malformed: ground_truth is missing"),
        ({"reward_model": {"ground_truth": "12"}}, "malformed: ground_truth must be an object"),
        ({"reward_model": {"ground_truth": "{}"}}, "no tests"),
        ({"reward_model": {"ground_truth": '{"inputs": ["1"], "outputs": ["1", "2"]}'}}, "differ in number"),
        (
            {"reward_model": {"ground_truth": '{"inputs": ["1"], "outputs": ["1", "2"], "fn_name": "f"}'}},
            "differ in number",
        ),
        ({"reward_model": {"ground_truth": '{"inputs": ["x"], "outputs": ["1"], "fn_name": "f"}'}}, "is not JSON"),
    ],
)
def test_rows_of_eurus_that_are_skipped(changes, words):
    with pytest.raises(SkipRow) as caught:
        convert_eurus({**EURUS, **changes})
    assert words in caught.value.reason


@pytest.mark.parametrize("row", [DEEPCODER_TACO, DEEPCODER_CODEFORCES])
def test_stdin_of_deepcoder(row):
    task = convert_deepcoder(row)
    assert task.pop("task_id").startswith("deepcoder/")
    assert task == {
        "prompt": "Print the sum of two integers.\n\n"
        "Write a Python program that reads standard input and writes standard output.\n",
        "tests": [{"stdin": "1 2\n", "stdout": "3\n"}],
        "solution": ADD,
        "language": "en",
        "metadata": {},
    }


def test_calls_of_prime_of_deepcoder():
    task = convert_deepcoder(DEEPCODER_PRIME)
    assert (task["entry_point"], task["solution"]) == ("Solution.twice", TWICE)
    assert task["tests"] == [{"args": [3], "expected": 6}]


@pytest.mark.parametrize(
    "row",
    [
        DEEPCODER_LCB,
        {**DEEPCODER_LCB, "metadata": '{"func_name": "twice"}'},
        {
            **DEEPCODER_LCB,
            "metadata": None,
            "tests": json.dumps(
                [{"input": "3", "output": "6", "testtype": "functional", "metadata": {"func_name": "twice"}}]
            ),
        },
    ],
)
def test_functional_tests_of_livecodebench_of_deepcoder(row):
    task = convert_deepcoder(row)
    assert (task["entry_point"], task["prelude"]) == ("Solution.twice", "leetcode")
    assert task["tests"] == [{"args": [3], "expected": 6}]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tests": "[]"}, "no tests"),
        ({"tests": None}, "malformed: tests is null"),
        ({"tests": "[{"}, "malformed: tests is not JSON"),
        ({"tests": "[1]"}, "malformed: tests must be an object"),
        ({"tests": '[{"input": "1"}]'}, "malformed: output is missing"),
        ({"tests": '[{"input": "1", "output": "1", "testtype": "file"}]'}, "malformed: testtype must be stdin or"),
        ({"tests": '[{"input": "1", "output": "1", "testtype": "functional"}]'}, "malformed: func_name is missing"),
        ({"solutions": "x"}, "malformed: solutions must be a list, not str"),
        ({"problem": 3}, "malformed: problem must be a string, not int"),
    ],
)
def test_rows_that_are_skipped_of_deepcoder(changes, words):
    with pytest.raises(SkipRow) as caught:
        convert_deepcoder({**DEEPCODER_TACO, **changes})
    assert words in caught.value.reason
