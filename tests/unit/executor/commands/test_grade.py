"""The rows of files that `atomforge grade` reads and writes."""

import json
import sys

import pytest

from executor.commands.grade import _write_results, read_samples, read_tasks
from executor.types import Outcome, Status, TestKind

BIG = "1" + "0" * 5000
CHECK = "def check(candidate):\n    assert candidate(1) == 2\n"


def write(path, *rows):
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("row", "kind", "profile"),
    [
        ({"entry_point": "f", "tests": [{"args": [], "expected": 1}]}, TestKind.CALL, "cpu"),
        ({"tests": [{"stdin": "", "stdout": "1"}]}, TestKind.STDIN, "cpu"),
        ({"entry_point": "f", "prompt": "def f(x):\n", "test": CHECK, "canonical_solution": ""}, TestKind.CHECK, "cpu"),
        ({"entry_point": "f", "prompt": "def f(x):\n", "test": f"import numpy\n{CHECK}"}, TestKind.CHECK, "torch"),
        ({"text": "Add 1.", "test_list": ["assert f(1) == 2"], "challenge_test_list": []}, TestKind.CHECK, "cpu"),
        ({"prompt": "p", "test_list": ["assert f(1) == 2"], "test": "import numpy\nf(1)"}, TestKind.CHECK, "torch"),
    ],
)
def test_rows_of_tasks(tmp_path, row, kind, profile):
    [task] = read_tasks(str(write(tmp_path / "tasks.jsonl", {"task_id": 1, **row}))).values()
    assert (task.task_id, task.kind, task.profile) == ("1", kind, profile)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"entry_point": "f", "tests": [], "atoms": []}, "line 1: task 1: unknown key 'atoms'"),
        ({"text": "t", "test_list": ["assert f(1)"], "float_tol": 1}, "line 1: task 1: unknown key 'float_tol'"),
        (
            {"prompt": "p", "test_list": ["assert f(1)"], "test": "x ="},
            "line 1: task 1: test 'x =' is not valid Python",
        ),
    ],
)
def test_errors_name_file_line_and_task(tmp_path, row, words):
    with pytest.raises(ValueError, match=r"tasks\.jsonl, line 1: ") as caught:
        read_tasks(str(write(tmp_path / "tasks.jsonl", {"task_id": 1, **row})))
    assert words in str(caught.value)


def test_integers_of_any_length_are_read_and_written(tmp_path):
    tasks_path = write(
        tmp_path / "tasks.jsonl",
        f'{{"task_id": "t", "entry_point": "f", "tests": [{{"args": [{BIG}], "expected": {BIG}}}]}}\n',
    )
    tasks = read_tasks(str(tasks_path))
    [task] = tasks.values()
    assert task.tests[0].expected == {"$int": hex(10**5000)}
    line = f'{{"task_id": "t", "completion": "", "seed": {BIG}}}\n'
    samples = read_samples(write(tmp_path / "samples.jsonl", line), tasks, str(tasks_path))
    outcome = Outcome(status=Status.WRONG, num_passed=0, num_tests=1, duration_s=0.5)
    limit = sys.get_int_max_str_digits()
    _write_results(tmp_path / "results.jsonl", samples, [outcome])
    assert f'"seed": {BIG}, "status": "wrong"' in (tmp_path / "results.jsonl").read_text()
    assert sys.get_int_max_str_digits() == limit


APPS_ROWS = [
    {"problem_id": 1, "question": "Add.", "input_output": '{"inputs": ["1 2"], "outputs": ["3"]}'},
    {"problem_id": 2, "question": "Twice.", "input_output": '{"fn_name": "f", "inputs": [[1]], "outputs": [2]}'},
    {"problem_id": 3, "question": "None.", "input_output": ""},
]


def test_rows_of_a_public_dataset(tmp_path, caplog):
    tasks = read_tasks(str(write(tmp_path / "rows.jsonl", *APPS_ROWS)), "apps")
    assert [(task.task_id, task.kind) for task in tasks.values()] == [
        ("apps/1", TestKind.STDIN),
        ("apps/2", TestKind.CALL),
    ]
    assert "1 of 3 rows become no task: 1 x no tests (first: line 3)" in caplog.text


@pytest.mark.parametrize(
    ("name", "tasks_format", "words"),
    [
        ("rows.jsonl", "app", "there is no format 'app'; known are apps, taco"),
        ("rows.jsonl", "mbpp", "rows.jsonl: no row has the format mbpp: 3 x malformed: text is missing"),
        ("nowhere.jsonl", "apps", "nowhere.jsonl: there is no such file"),
    ],
)
def test_rows_of_another_format(tmp_path, name, tasks_format, words):
    write(tmp_path / "rows.jsonl", *APPS_ROWS)
    with pytest.raises(ValueError, match=words):
        read_tasks(str(tmp_path / name), tasks_format)
