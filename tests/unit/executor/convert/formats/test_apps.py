"""APPS and TACO: stdin and call tests, the reading of outputs, and what is skipped."""

import json

import pytest

from executor.convert.columns import SkipRow
from executor.convert.formats.apps import convert_apps, convert_taco
from executor.convert.programs import CALL_PRELUDE
from tests.unit.executor.convert.example_rows import ADD, APPS_CALL, APPS_STDIN, TACO, TACO_NEMO_GYM, TWICE


def calls(inputs, outputs, **row):
    """Convert a row of calls of `f` and return its (args, expected) pairs."""
    input_output = json.dumps({"fn_name": "f", "inputs": inputs, "outputs": outputs})
    task = convert_apps({**APPS_CALL, "input_output": input_output, "starter_code": "def f(x):\n\t", **row})
    return [(test["args"], test["expected"]) for test in task["tests"]]


def reason(row, convert=convert_apps):
    with pytest.raises(SkipRow) as caught:
        convert(row)
    return caught.value.reason


def test_stdin():
    assert convert_apps(APPS_STDIN) == {
        "task_id": "apps/7",
        "prompt": "Print the sum of two integers.\n\n"
        "Write a Python program that reads standard input and writes standard output.\n",
        "tests": [{"stdin": "1 2\n", "stdout": "3\n"}, {"stdin": "3\n4", "stdout": "7"}],
        "solution": ADD,
        "language": "en",
        "group": "interview",
        "metadata": {"difficulty": "interview", "url": "https://example.org/7"},
    }


def test_a_call():
    assert convert_apps(APPS_CALL) == {
        "task_id": "apps/8",
        "prompt": "Return whether the number is even.\n\nStart from this code:\n\n```python\ndef is_even(n):\n```\n",
        "entry_point": "is_even",
        "tests": [{"args": [1], "expected": False}, {"args": [2], "expected": True}],
        "float_tol": 0,
        "prelude": CALL_PRELUDE,
        "solution": "def is_even(n):\n    return n % 2 == 0",
        "language": "en",
        "group": "introductory",
        "metadata": {"difficulty": "introductory", "url": "https://example.org/8"},
    }


def test_the_prelude_loads_with_the_standard_library():
    namespace = {}
    exec(CALL_PRELUDE, namespace)
    assert {"math", "defaultdict", "List", "heappush", "gcd", "accumulate"} <= set(namespace)


@pytest.mark.parametrize(
    ("starter", "solutions", "entry_point"),
    [
        ("class Solution:\n    def f(self, x):\n", ["def f(x):\n    return x"], "Solution.f"),
        ("#User template\n\nclass Solution:\n\tdef f(self, x):\n", [], "Solution.f"),
        ("def f(x):\n\t", ["class Solution:\n    def f(self, x): ..."], "f"),
        ("", ["class Solution:\n    def f(self, x): ..."], "Solution.f"),
        ("", ["def f(x): ...", "class Solution:\n    def f(self, x): ...", "f = len"], "f"),
        ("", ["not Python at all"], "f"),
        ("", [], "f"),
    ],
)
def test_function_or_method(starter, solutions, entry_point):
    input_output = json.dumps({"fn_name": "f", "inputs": [[1]], "outputs": [1]})
    row = {**APPS_CALL, "input_output": input_output, "starter_code": starter, "solutions": json.dumps(solutions)}
    assert convert_apps(row)["entry_point"] == entry_point


@pytest.mark.parametrize(
    ("outputs", "starter", "expected"),
    [
        ([[1], [2]], "def f(x):", [1, 2]),  # a list around each value
        ([[[1]], [[]]], "def f(x):", [[1], []]),
        ([1, 2], "def f(x):", [1, 2]),
        ([[1], [2, 3]], "def f(x):", [[1], [2, 3]]),  # one is no list of one element: the values are lists
        ([[1], []], "def f(x):", [[1], []]),
        ([[1], [2]], "class Solution:\n    def f(self, x) -> List[int]:\n", [[1], [2]]),  # the annotation says so
        ([[[1]], [[2]]], "class Solution:\n    def f(self, x) -> List[int]:\n", [[1], [2]]),
        ([[1], [2]], "class Solution:\n    def f(self, x: List[int]) -> int:\n", [1, 2]),
    ],
)
def test_a_value_or_a_list_around_it(outputs, starter, expected):
    assert calls([[0], [1]], outputs, starter_code=starter) == [([0], expected[0]), ([1], expected[1])]


def test_integer_keys_come_back():
    keys = {"$dict": [[1, "a"], [-2, "b"]]}
    assert calls([[{"1": "a", "-2": "b"}]], [[{"3": 4}]]) == [([keys], {"$dict": [[3, 4]]})]
    assert calls([[{"x": 1}], [{}]], [{"y": 1}, {}]) == [([{"x": 1}], {"y": 1}), ([{}], {})]
    assert calls([[{"1": 2}, 3]], [1]) == [([{"1": 2}, 3], 1)]  # not the only argument


def test_values_that_json_has_no_word_for():
    input_output = '{"fn_name": "f", "inputs": [[NaN, {"$a": 1}]], "outputs": [-Infinity]}'
    task = convert_apps({**APPS_CALL, "input_output": input_output})
    assert task["tests"] == [
        {"args": [{"$float": "nan"}, {"$dict": [["$a", 1]]}], "expected": {"$float": "-inf"}},
    ]
    assert task["float_tol"] == 1e-6


def test_integers_of_any_length():
    digits = "7" * 10_000
    task = convert_apps(
        {**APPS_CALL, "input_output": f'{{"fn_name": "f", "inputs": [[{digits}]], "outputs": [-{digits}]}}'}
    )
    [test] = task["tests"]
    sevens = 7 * (10**10_000 - 1) // 9
    assert test == {"args": [{"$int": hex(sevens)}], "expected": {"$int": hex(-sevens)}}


def test_in_place_problems_compare_the_argument():
    starter = "class Solution:\n    def f(self, x: List[int]) -> None:\n"
    input_output = json.dumps({"fn_name": "f", "inputs": [[[2, 1]]], "outputs": [[1, 2]]})
    task = convert_apps({**APPS_CALL, "input_output": input_output, "starter_code": starter})
    assert (task["result"], task["tests"]) == ("args.0", [{"args": [[2, 1]], "expected": [1, 2]}])


@pytest.mark.parametrize(
    ("statement", "outputs", "float_tol"),
    [
        ("Print it.", ["1"], None),
        ("Print it.", ["1 v1.5"], None),
        ("Print it.", ["1", "0.5"], 1e-6),
        ("The absolute error must not exceed 10^{-4}.", [".5"], 1e-4),
        ("Your answer is right if the relative or absolute error is at most 1e-9.", ["2e5"], 1e-9),
        ("All numbers are below 10^-3.", ["0.5"], 1e-6),
    ],
)
def test_the_tolerance_of_printed_decimals(statement, outputs, float_tol):
    input_output = json.dumps({"inputs": [str(i) for i in range(len(outputs))], "outputs": outputs})
    task = convert_apps({**APPS_STDIN, "question": statement, "input_output": input_output})
    assert task.get("float_tol") == float_tol


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input_output": ""}, "no tests"),
        ({"input_output": "{}"}, "no tests"),
        ({"input_output": '{"inputs": [], "outputs": []}'}, "no tests"),
        ({"input_output": '{"inputs": ["1", "2"], "outputs": ["", " \\n"]}'}, "no expected output"),
        ({"question": "![](a.png)\n<image>"}, "the statement is an image only"),
        ({"question": "This is an interactive problem."}, "interactive"),
        ({"question": "Ask.\n\n-----Interaction-----\n\nFlush."}, "interactive"),
        ({"question": " \n"}, "malformed: question is empty"),
        ({"question": None}, "malformed: question is null"),
        ({"problem_id": None}, "malformed: problem_id is missing"),
        ({"problem_id": "7"}, "malformed: problem_id is not an integer"),
        ({"input_output": '{"inputs": ["1"], "outp'}, "malformed: input_output is not JSON"),
        ({"input_output": '{"inputs": ["1"]}'}, "malformed: input_output has no outputs"),
        ({"input_output": '{"inputs": ["1"], "outputs": null}'}, "malformed: input_output has no outputs"),
        (
            {"input_output": '{"inputs": ["1"], "outputs": ["1", "2"]}'},
            "malformed: inputs and outputs differ in number",
        ),
        ({"input_output": '{"inputs": "1", "outputs": "1"}'}, "malformed: inputs must be a list, not str"),
        ({"input_output": '{"inputs": [1], "outputs": ["1"]}'}, "malformed: an input must be a string, not int"),
        (
            {"input_output": '{"inputs": [["1", 2]], "outputs": ["1"]}'},
            "malformed: a line of an input must be a string",
        ),
        (
            {"input_output": '{"inputs": ["\\ud800"], "outputs": ["1"]}'},
            "malformed: an input holds half of a surrogate",
        ),
        ({"input_output": ["1"]}, "malformed: input_output must be a string, not list"),
        ({"input_output": "[" * 100_000}, "malformed: input_output is not JSON"),
        (
            {"input_output": '{"fn_name": "f g", "inputs": [[1]], "outputs": [1]}'},
            "malformed: the name of the function",
        ),
        ({"input_output": '{"fn_name": "__init__", "inputs": [[1]], "outputs": [1]}'}, "a special method"),
        ({"input_output": '{"fn_name": 3, "inputs": [[1]], "outputs": [1]}'}, "malformed: input_output.fn_name"),
        ({"input_output": '{"fn_name": "f", "inputs": [1], "outputs": [1]}'}, "malformed: an input must be a list"),
        (
            {"input_output": f'{{"fn_name": "f", "inputs": [[{"[" * 70}{"]" * 70}]], "outputs": [1]}}'},
            "malformed: a value that tests cannot hold",
        ),
        (
            {"input_output": json.dumps({"fn_name": "f", "inputs": [[1]], "outputs": [[[0] * 1_000_001]]})},
            "an expected value of over 1000000 elements",
        ),
        ({"solutions": "[1]"}, "malformed: an item of solutions must be a string, not int"),
        ({"solutions": "['x']"}, "malformed: solutions is not JSON"),
        ({"starter_code": float("nan")}, "malformed: starter_code must be a string, not float"),
    ],
)
def test_rows_that_are_skipped(changes, words):
    assert words in reason({**APPS_STDIN, **changes})


def test_choosing_any_cell_is_no_choice_of_answers():
    statement = "In one move choose any cell. Find the number of ways such that any two differ. Print the sum."
    assert convert_apps({**APPS_STDIN, "question": statement})["task_id"] == "apps/7"


@pytest.mark.parametrize("source", ["import numpy\n" + ADD, "print 1", "print(raw_input())", "x = 1\n" * 50_000, ""])
def test_what_is_no_right_solution_here(source):
    assert "solution" not in convert_apps({**APPS_STDIN, "solutions": json.dumps([source])})


def test_taco():
    task = convert_taco(TACO)
    assert task.pop("task_id").startswith("taco/")
    assert task == {
        "prompt": "Print the sum of two integers.\n\n"
        "Write a Python program that reads standard input and writes standard output.\n",
        "tests": [{"stdin": "1 2\n", "stdout": "3\n"}],
        "solution": ADD,
        "time_limit_s": 2.0,
        "memory_mib": 256,
        "language": "en",
        "group": "EASY",
        "metadata": {
            "difficulty": "EASY",
            "source": "codeforces",
            "url": "https://example.org/9",
            "date": "2019-12-31",
            "tags": "['Implementation']",
            "skill_types": "[]",
        },
    }


def test_rows_of_taco_are_named_after_their_content():
    assert convert_taco(TACO)["task_id"] == convert_taco({**TACO, "url": None})["task_id"]
    assert convert_taco(TACO)["task_id"] != convert_taco({**TACO, "question": "Another."})["task_id"]


@pytest.mark.parametrize(
    ("time_limit", "memory_limit", "limits"),
    [
        ("0.5 seconds", "1 gigabytes", {"time_limit_s": 0.5, "memory_mib": 1024}),
        ("1 sec", "16 MB", {"time_limit_s": 1.0, "memory_mib": 64}),
        (None, None, {}),
        ("0 seconds", "0 megabytes", {}),
        ("1 - 2 seconds", "much", {}),
    ],
)
def test_limits_of_taco(time_limit, memory_limit, limits):
    task = convert_taco({**TACO, "time_limit": time_limit, "memory_limit": memory_limit})
    assert {key: task[key] for key in ("time_limit_s", "memory_mib") if key in task} == limits


def test_taco_in_the_layout_of_nemo_gym():
    assert convert_taco(TACO_NEMO_GYM) == {
        "task_id": "taco/c0ffee",
        "prompt": "Use Python. Print the sum.",
        "tests": [{"stdin": "1 2\n", "stdout": "3\n"}],
        "language": "en",
        "metadata": {"source": "codeforces"},
    }


def test_a_method_in_taco():
    input_output = json.dumps({"fn_name": "twice", "inputs": [[3]], "outputs": [6]})
    task = convert_taco({**TACO, "input_output": input_output, "solutions": json.dumps([TWICE])})
    assert (task["entry_point"], task["solution"]) == ("Solution.twice", TWICE)
    assert task["prompt"].endswith("Write the Python function `twice` as a method of `class Solution`.\n")
