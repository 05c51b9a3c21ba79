"""CodeContests: tests of three columns, limits, and what is skipped."""

import json

import pytest

from executor.convert.columns import SkipRow
from executor.convert.formats.code_contests import convert_code_contests
from tests.unit.executor.convert.example_rows import ADD, CODE_CONTESTS


def test_a_row():
    assert convert_code_contests(CODE_CONTESTS) == {
        "task_id": "code_contests/1_A. Sum",
        "prompt": "Print the sum of two integers.\n\n"
        "Write a Python program that reads standard input and writes standard output.\n",
        "tests": [{"stdin": "1 2\n", "stdout": "3\n"}, {"stdin": "3 4\n", "stdout": "7\n"}],
        "solution": ADD,
        "time_limit_s": 1.5,
        "memory_mib": 245,  # 256 000 000 bytes are 244.14 MiB
        "language": "en",
        "group": "CODEFORCES",
        "metadata": {"source": "CODEFORCES", "difficulty": "A", "rating": 800, "tags": ["math"]},
    }


def test_no_limits():
    task = convert_code_contests({**CODE_CONTESTS, "time_limit": None, "memory_limit_bytes": 0})
    assert "time_limit_s" not in task
    assert "memory_mib" not in task


def test_the_layout_of_sandbox_fusion():
    row = {
        "content": "Print the sum.",
        "id": 4,
        "labels": json.dumps({"name": "sum", "source": "CODECHEF", "difficulty": "EASY"}),
        "test": json.dumps([{"input": {"stdin": "1 2"}, "output": {"stdout": "3\n"}}]),
    }
    assert convert_code_contests(row) == {
        "task_id": "code_contests/sum",
        "prompt": "Print the sum.\n\nWrite a Python program that reads standard input and writes standard output.\n",
        "tests": [{"stdin": "1 2", "stdout": "3\n"}],
        "language": "en",
        "group": "CODECHEF",
        "metadata": {"source": "CODECHEF", "difficulty": "EASY"},
    }


EMPTY = {"input": [], "output": []}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input_file": "in.txt"}, "reads or writes files"),
        ({"output_file": "out.txt"}, "reads or writes files"),
        ({"public_tests": EMPTY, "private_tests": EMPTY}, "no tests"),
        ({"public_tests": None, "private_tests": None, "generated_tests": None}, "malformed: public_tests is missing"),
        ({"private_tests": {"input": ["1"], "output": []}}, "malformed: inputs and outputs differ in number"),
        ({"private_tests": {"input": ["1"]}}, "malformed: private_tests has no input or no output"),
        ({"private_tests": [["1", "1"]]}, "malformed: private_tests must be an object"),
        ({"private_tests": {"input": [None], "output": ["1"]}}, "malformed: an input must be a string, not null"),
        ({"solutions": {"language": [3], "solution": []}}, "malformed: solutions.language and solutions.solution"),
        ({"time_limit": {"seconds": float("nan"), "nanos": 0}}, "malformed: seconds must be a finite number"),
        ({"time_limit": {"seconds": -1, "nanos": 0}}, "malformed: seconds must be a finite number"),
        ({"memory_limit_bytes": "256"}, "malformed: memory_limit_bytes must be a finite number"),
        ({"name": ""}, "malformed: name is empty"),
    ],
)
def test_rows_that_are_skipped(changes, words):
    with pytest.raises(SkipRow) as caught:
        convert_code_contests({**CODE_CONTESTS, **changes})
    assert words in caught.value.reason
