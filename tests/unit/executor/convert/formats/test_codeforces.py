"""open-r1/codeforces: statements, checkers, limits, and what is skipped."""

import pytest

from executor.convert.columns import SkipRow
from executor.convert.formats.codeforces import convert_codeforces
from tests.unit.executor.convert.example_rows import CODEFORCES


def test_a_row():
    assert convert_codeforces(CODEFORCES) == {
        "task_id": "codeforces/1/A",
        "prompt": "Print any two numbers with the given sum.\n\n"
        "## Input\n\nOne integer.\n\n## Output\n\nTwo integers.\n\n"
        "## Example\n\nInput:\n```\n3\n```\nOutput:\n```\n1 2\n```\n\n## Note\n\nThere are many.\n\n"
        "Write a Python program that reads standard input and writes standard output.\n",
        "tests": [{"stdin": "3", "stdout": "1 2"}],
        "checker": "import sys\nprint(1)\n",
        "time_limit_s": 1.0,
        "memory_mib": 64,  # Python does not run in the 32 of the row
        "language": "en",
        "metadata": {
            "title": "Two numbers",
            "contest_id": "1",
            "contest_name": "Round 1",
            "index": "A",
            "rating": 800,
            "tags": ["math"],
            "official_tests_complete": False,
        },
    }


def test_without_a_checker_outputs_are_compared():
    row = {
        **CODEFORCES,
        "generated_checker": None,
        "description": "Print half of it.",
        "official_tests": [{"input": "3", "output": "1.5"}],
        "time_limit": None,
        "memory_limit": 256.0,
    }
    task = convert_codeforces(row)
    assert (task["float_tol"], task["memory_mib"]) == (1e-6, 256)
    assert "checker" not in task
    assert "time_limit_s" not in task


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"interaction_format": "Print ? i."}, "interactive"),
        ({"input_mode": "file"}, "reads or writes files"),
        ({"input_mode": "pipe"}, "malformed: input_mode must be stdio or file"),
        ({"executable": False}, "marked as not executable"),
        ({"generated_checker": "print 1"}, "the checker is not Python 3"),
        ({"official_tests": None}, "no tests"),
        ({"official_tests": []}, "no tests"),
        ({"official_tests": [{"input": "1"}]}, "malformed: output is missing"),
        ({"official_tests": ["1"]}, "malformed: official_tests must be a list of objects"),
        ({"time_limit": float("nan")}, "malformed: time_limit must be a finite number"),
        ({"memory_limit": -5.0}, "malformed: memory_limit must be a finite number"),
        ({"time_limit": True}, "malformed: time_limit must be a finite number"),
        ({"id": ""}, "malformed: id is empty"),
        ({"description": ""}, "malformed: description is empty"),
    ],
)
def test_rows_that_are_skipped(changes, words):
    with pytest.raises(SkipRow) as caught:
        convert_codeforces({**CODEFORCES, **changes})
    assert words in caught.value.reason
