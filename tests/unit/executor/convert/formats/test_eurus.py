"""Eurus: chats, stdin tests, and calls as texts or lists."""

import json

import pytest

from executor.convert.columns import SkipRow
from executor.convert.formats.eurus import convert_eurus
from tests.unit.executor.convert.example_rows import EURUS, EURUS_CALL


def test_stdin():
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


def test_calls_as_lines_of_json():
    task = convert_eurus(EURUS_CALL)
    assert (task["entry_point"], task["tests"]) == ("repeat", [{"args": ["ab", 2], "expected": "abab"}])


def test_calls_as_lists():
    truth = json.dumps({"inputs": [["ab", 2]], "outputs": [["abab"]], "fn_name": "repeat"})
    task = convert_eurus({**EURUS_CALL, "reward_model": {"ground_truth": truth}})
    assert task["tests"] == [{"args": ["ab", 2], "expected": "abab"}]


def test_starter_code_in_the_statement():
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
def test_rows_that_are_skipped(changes, words):
    with pytest.raises(SkipRow) as caught:
        convert_eurus({**EURUS, **changes})
    assert words in caught.value.reason
