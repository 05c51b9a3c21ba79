"""Library functions run before the programs that name them, and only those."""

import pytest

from executor import Status, Submission, grade, parse_task
from executor.api import open_executor
from executor.grading.tasks.library import select_from_library

LIBRARY = {
    "twice": "def twice(x):\n    return 2 * x\n",
    "quad": "def quad(x):\n    return twice(twice(x))\n",
    "unused": "raise SystemExit\n",
}
TASK = {
    "task_id": "t",
    "entry_point": "solve",
    "tests": [{"args": [3], "expected": 12}],
    "library": LIBRARY,
}


def test_a_program_gets_what_it_names_and_what_that_names():
    assert select_from_library(LIBRARY, "def solve(x):\n    return twice(x)") == f"{LIBRARY['twice']}\n\n"
    assert select_from_library(LIBRARY, "solve = quad") == f"{LIBRARY['twice']}\n\n{LIBRARY['quad']}\n\n"


def test_a_part_of_a_name_is_no_name():
    assert select_from_library(LIBRARY, "def solve(x):\n    return twice2(quadrant)") == ""


@pytest.fixture(scope="module")
def executor():
    with open_executor("process", num_workers=1) as opened:
        yield opened


@pytest.mark.parametrize(
    ("completion", "status"),
    [
        ("def solve(x):\n    return quad(x)", Status.PASSED),
        ("def solve(x):\n    return twice(x)", Status.WRONG),
        ("def twice(x):\n    return 4 * x\n\ndef solve(x):\n    return twice(x)", Status.PASSED),
        ("def solve(x):\n    return thrice(x)", Status.EXCEPTION),
    ],
)
def test_programs_call_library_functions(executor, completion, status):
    submission = Submission(task=parse_task(TASK), completion=completion)
    assert [outcome.status for outcome in grade(executor, [submission])] == [status]


def test_a_reference_has_the_library_too(executor):
    row = {key: value for key, value in TASK.items() if key != "tests"}
    task = parse_task({**row, "reference": "def solve(x):\n    return quad(x)", "inputs": [[1], [5]]})
    completions = ["def solve(x):\n    return 4 * x", "def solve(x):\n    return twice(x)"]
    outcomes = grade(executor, [Submission(task=task, completion=text) for text in completions])
    assert [outcome.status for outcome in outcomes] == [Status.PASSED, Status.WRONG]


@pytest.mark.parametrize(
    ("library", "message"),
    [
        ([], "library must be an object of function name to source, not \\[\\]"),
        ({"f": 1}, "library must be an object of function name to source"),
        ({"a b": "x = 1"}, "'a b' must be the name of a function"),
        ({"f": "def f(:"}, "the source of f is not valid Python"),
    ],
)
def test_malformed_libraries(library, message):
    with pytest.raises(ValueError, match=message):
        parse_task({**TASK, "library": library})
