"""MBPP, MBPP+ and AceCode: asserts and scripts become checks."""

import pytest

from executor.convert.columns import SkipRow
from executor.convert.formats.mbpp import convert_acecode, convert_mbpp, convert_mbpp_plus
from tests.unit.executor.convert.example_rows import ACECODE, MBPP, MBPP_PLUS
from tests.unit.executor.convert.formats.test_humaneval import passes


def test_mbpp():
    assert convert_mbpp(MBPP) == {
        "task_id": 3,
        "prompt": "Write a function that doubles.\nYour code should pass these tests:\n"
        "assert twice(2) == 4\nassert twice(math.inf) == math.inf\n",
        "entry_point": "twice",
        "check": "import math\n\n\ndef check(candidate):\n    twice = candidate\n"
        "    assert twice(2) == 4\n    assert twice(math.inf) == math.inf\n",
        "solution": "import math\ndef twice(x):\n    return 2 * x",
        "language": "en",
        "metadata": {},
    }


def test_the_sanitized_config_of_mbpp():
    row = {
        "task_id": 4,
        "prompt": "Double it.",
        "code": "def twice(x):\n    return 2 * x",
        "test_imports": ["import math"],
        "test_list": ["assert math.isclose(twice(0.5), 1.0)"],
    }
    task = convert_mbpp(row)
    assert task["entry_point"] == "twice"
    assert passes(task["check"], lambda x: 2 * x)
    assert not passes(task["check"], lambda x: x)


def test_mbpp_plus_runs_the_suite_and_not_the_first_asserts():
    task = convert_mbpp_plus(MBPP_PLUS)
    assert (task["task_id"], task["entry_point"]) == (3, "twice")
    assert (
        task["prompt"] == "Write a function that doubles.\nYour code should pass these tests:\nassert twice(2) == 4\n"
    )
    assert passes(task["check"], lambda x: 2 * x)
    assert not passes(task["check"], lambda x: {2: 4}.get(x))


def test_acecode():
    assert convert_acecode(ACECODE) == {
        "task_id": "oss_1",
        "prompt": "Write twice(x).\n",
        "entry_point": "twice",
        "check": "def check(candidate):\n    twice = candidate\n    assert twice(2) == 4\n    assert twice(0) == 0\n",
        "solution": "def twice(x):\n    return 2 * x",
        "language": "en",
        "group": "oss",
        "metadata": {"source": "oss"},
    }


def test_acecode_without_a_right_inference():
    task = convert_acecode({**ACECODE, "inferences": ACECODE["inferences"][:1]})
    assert task["entry_point"] == "twice"
    assert "solution" not in task


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test_list": []}, "no tests"),
        ({"test_list": None}, "malformed: test_list is null"),
        ({"test_list": "assert twice(2) == 4"}, "malformed: test_list must be a list of strings"),
        ({"test_list": [4]}, "malformed: test_list must be a list of strings"),
        ({"test_list": ["assert twice(2) = 4"]}, "malformed: an assert, or the code before it, is not Python"),
        ({"test_list": ["assert twice(2) == 4", "assert 1 == 1"]}, "call no function of the program in common"),
        ({"test_list": ["assert twice(2) == 4", "assert twice(Node(1)) == 2"]}, "read names of the program other than"),
        ({"test_list": ["twice(2)"]}, "no tests"),
        ({"test_setup_code": "import ("}, "malformed: an assert, or the code before it, is not Python"),
        ({"text": ""}, "malformed: text is empty"),
        ({"task_id": None}, "malformed: task_id is null"),
        ({"code": 3}, "malformed: code must be a string, not int"),
    ],
)
def test_rows_of_mbpp_that_are_skipped(changes, words):
    with pytest.raises(SkipRow, match=words):
        convert_mbpp({**MBPP, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test": None}, "malformed: test is null"),
        ({"test": "for ("}, "malformed: test is not Python"),
        ({"test": "assert 1 == 1"}, "no tests"),
        ({"test": "twice(2)"}, "no tests"),
        ({"test": "import numpy as np\nassert np.sum(twice(2)) == 4"}, "its test needs numpy"),
    ],
)
def test_rows_of_mbpp_plus_that_are_skipped(changes, words):
    with pytest.raises(SkipRow, match=words):
        convert_mbpp_plus({**MBPP_PLUS, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": ""}, "malformed: id is empty"),
        ({"test_cases": []}, "no tests"),
        ({"inferences": "x"}, "malformed: inferences must be a list, not str"),
        ({"inferences": [3]}, "malformed: inferences must be a list of objects"),
        ({"question": None}, "malformed: question is null"),
    ],
)
def test_rows_of_acecode_that_are_skipped(changes, words):
    with pytest.raises(SkipRow, match=words):
        convert_acecode({**ACECODE, **changes})
