"""Tasks from columns, labels and ground truths; completions from decoded queries."""

import json

import pytest

from executor.integrations.rows import build_assert_task, cut_prompt, read_columns, read_ground_truth, read_task
from executor.types import TestKind

ROW = {"task_id": "add", "entry_point": "add", "tests": [{"args": [1, 2], "expected": 3}]}


@pytest.mark.parametrize("row", [ROW, json.dumps(ROW)])
def test_a_task_is_an_object_or_its_text(row):
    task = read_task(row)
    assert (task.task_id, task.entry_point, task.tests[0].expected) == ("add", "add", 3)


@pytest.mark.parametrize(
    ("row", "named"),
    [("x", "not 'x'"), ("[1]", "not list"), ("{}", "missing"), ({**ROW, "test_s": []}, "test_s")],
)
def test_what_is_no_task_row_is_named(row, named):
    with pytest.raises(ValueError, match=named):
        read_task(row)


def test_columns_of_task_rows():
    [task] = read_columns({"task": [json.dumps(ROW)], "difficulty": ["easy"]}, 1)
    assert task.task_id == "add"


def test_columns_that_are_the_keys_of_rows():
    columns = {"entry_point": ["add", "neg"], "tests": [json.dumps(ROW["tests"]), [{"args": [1], "expected": -1}]]}
    first, second = read_columns(columns, 2)
    assert (first.entry_point, second.entry_point, second.tests[0].expected) == ("add", "neg", -1)


@pytest.mark.parametrize("column", ["test_cases", "test_list", "asserts"])
def test_columns_of_asserts(column):
    asserts = ["assert add(1, 2) == 3", "assert add(0, 0) == 0"]
    plain, text = read_columns({column: [asserts, json.dumps(asserts)]}, 2)
    assert plain == text
    assert plain.kind is TestKind.CHECK
    assert plain.check == (
        "def check(candidate):\n    add = candidate\n    assert add(1, 2) == 3\n    assert add(0, 0) == 0\n"
    )


def test_columns_without_tests_are_an_error_that_lists_them():
    with pytest.raises(ValueError, match="needs a column task, tests.*it has answer"):
        read_columns({"answer": ["1"]}, 1)


def test_asserts_about_a_builtin_and_a_function_are_about_the_function():
    task = build_assert_task(["assert sorted(f([2, 1])) == [1, 2]"], task_id="t")
    assert task.entry_point == "f"


def test_a_ground_truth_with_inputs_and_outputs_is_of_stdin_tests():
    task = read_ground_truth(json.dumps({"inputs": ["1 2\n"], "outputs": ["3\n"]}), "print(3)")
    assert [(test.stdin, test.stdout) for test in task.stdin_tests] == [("1 2\n", "3\n")]


@pytest.mark.parametrize(
    ("completion", "entry_point"),
    [
        ("def add(a, b): ...", "add"),
        ("```python\nclass Solution:\n    def add(self, a, b): ...\n```", "Solution.add"),
    ],
)
def test_a_ground_truth_with_a_function_takes_its_form_from_the_completion(completion, entry_point):
    truth = json.dumps({"inputs": ["1\n[2]"], "outputs": ["[1, 2]"], "fn_name": "add"})
    task = read_ground_truth(truth, completion)
    assert (task.entry_point, task.tests[0].args, task.tests[0].expected) == (entry_point, [1, [2]], [1, 2])


def test_a_ground_truth_of_asserts_and_of_a_row():
    asserts = read_ground_truth(json.dumps({"assert_case": ["assert f(1) == 2"]}), "")
    assert (asserts.kind, asserts.entry_point) == (TestKind.CHECK, "f")
    assert read_ground_truth(json.dumps(ROW), "").task_id == "add"


@pytest.mark.parametrize(
    "text", ["[1]", "{}", '{"inputs": ["1"], "outputs": []}', '{"inputs": ["1"], "outputs": [null]}']
)
def test_another_ground_truth_is_an_error(text):
    with pytest.raises(ValueError, match="ground_truth"):
        read_ground_truth(text, "")


@pytest.mark.parametrize(
    ("query", "prompt", "completion"),
    [
        ("Say hi.hi", "Say hi.", "hi"),
        ("<s> Say  hi.\n hi", "Say hi.", "\n hi"),  # a token in front, white space changed by decoding
        ("hi", "", "hi"),
        ("Say hi.", "Say hi.", ""),
        ("Say hi. Say hi.", "Say hi.", " Say hi."),
    ],
)
def test_a_completion_follows_the_prompt(query, prompt, completion):
    assert cut_prompt(query, prompt) == completion


def test_a_query_without_its_prompt_is_an_error():
    with pytest.raises(ValueError, match="does not contain its prompt"):
        cut_prompt("hi", "Say hi.")
