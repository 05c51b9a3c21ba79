"""DeepCoder: the configs are told apart by the form of their tests."""

import json

import pytest

from executor.convert.columns import SkipRow
from executor.convert.formats.deepcoder import convert_deepcoder
from tests.unit.executor.convert.example_rows import (
    ADD,
    DEEPCODER_CODEFORCES,
    DEEPCODER_LCB,
    DEEPCODER_PRIME,
    DEEPCODER_TACO,
    TWICE,
)


@pytest.mark.parametrize("row", [DEEPCODER_TACO, DEEPCODER_CODEFORCES])
def test_stdin(row):
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


def test_calls_of_prime():
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
def test_functional_tests_of_livecodebench(row):
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
def test_rows_that_are_skipped(changes, words):
    with pytest.raises(SkipRow) as caught:
        convert_deepcoder({**DEEPCODER_TACO, **changes})
    assert words in caught.value.reason
