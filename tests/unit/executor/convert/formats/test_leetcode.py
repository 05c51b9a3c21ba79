"""LeetCodeDataset: checks, and method tests where nodes pass between program and check."""

import pytest

from executor.convert.columns import SkipRow
from executor.convert.formats.leetcode import convert_leetcode
from tests.unit.executor.convert.example_rows import LEETCODE, LEETCODE_NODES, TWICE


def test_a_check():
    assert convert_leetcode(LEETCODE) == {
        "task_id": "twice",
        "prompt": "Return twice the number.\n",
        "entry_point": "Solution.twice",
        "check": "import math\n\n\ndef check(candidate):\n    assert candidate(x = 3) == 6\n",
        "prelude": "import math\n",
        "solution": TWICE,
        "language": "en",
        "group": "Easy",
        "metadata": {"difficulty": "Easy", "question_id": 5},
    }


def test_nodes():
    task = convert_leetcode(LEETCODE_NODES)
    assert (task["entry_point"], task["prelude"]) == ("Solution.mirror", "leetcode")
    assert "check" not in task
    assert task["tests"] == [
        {"args": [], "kwargs": {"root": {"$tree": [1, None, 2]}, "head": None}, "expected": {"$tree": [1, 2]}},
        {"args": [None, {"$list": [1, 2]}], "kwargs": {}, "expected": True},
    ]


@pytest.mark.parametrize(
    "body",
    [
        "assert candidate(tree_node([1])).val == 1",
        "assert candidate(tree_node([1])) != 1",
        "assert len(candidate(tree_node([1]))) == 1",
        "assert is_same_graph(candidate(tree_node([1])), tree_node([1]))",
        "root = tree_node([1])\n    assert candidate(root) == 1",
        "assert candidate(tree_node(range(3))) == 1",
        "assert candidate(tree_node([1]), f(2)) == 1",
    ],
)
def test_nodes_that_tests_cannot_express(body):
    with pytest.raises(SkipRow, match="compares nodes in a way"):
        convert_leetcode({**LEETCODE, "test": f"def check(candidate):\n    {body}\n"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"entry_point": "twice"}, "malformed: entry_point must be Solution\\(\\).NAME"),
        ({"entry_point": "Solution().a b"}, "malformed: the name of the function is no identifier"),
        ({"entry_point": None}, "malformed: entry_point is null"),
        ({"test": "def check(candidate):\n    pass\n"}, "no tests"),
        ({"test": "def test(candidate):\n    assert True\n"}, "malformed: test does not define check"),
        ({"test": "def check(candidate"}, "malformed: test is not Python"),
        ({"test": "\x00"}, "malformed: test is not Python"),
        ({"query": ""}, "malformed: query is empty"),
        ({"task_id": " "}, "malformed: task_id is empty"),
        ({"meta": 3}, "malformed: meta must be an object"),
    ],
)
def test_rows_that_are_skipped(changes, words):
    with pytest.raises(SkipRow, match=words):
        convert_leetcode({**LEETCODE, **changes})
