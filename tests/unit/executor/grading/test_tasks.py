"""Task rows: each key, each kind of test, and every error."""

import json

import pytest

from executor.grading.tasks import TASK_KEYS, choose_check_profile, parse_task, task_to_row
from executor.grading.tasks.tests import count_expected_bytes
from executor.types import Limits, StdinTest, Test, TestKind

TESTS = [{"args": [1], "expected": {"$tuple": [1]}}]
ROW = {"task_id": "t", "entry_point": "solve", "tests": TESTS}
STDIN_ROW = {"task_id": "t", "tests": [{"stdin": "1\n", "stdout": "2\n"}]}
CHECK_ROW = {"task_id": "t", "entry_point": "f", "check": "def check(candidate):\n    assert candidate(1) == 2\n"}
REFERENCE_ROW = {"task_id": "t", "entry_point": "f", "reference": "def f(x):\n    return x\n", "inputs": [[1], [2]]}
CALL = {"args": [[3, 1]], "expected": 1}


def test_tests_are_a_list_or_its_json():
    assert parse_task(ROW) == parse_task({**ROW, "tests": json.dumps(TESTS)})
    assert parse_task({**ROW, "task_id": 7}).task_id == "7"
    assert parse_task({**ROW, "prompt": None, "tests": tuple(TESTS)}) == parse_task(ROW)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (ROW, TestKind.CALL),
        ({**ROW, "entry_point": "Solution.solve"}, TestKind.METHOD),
        (STDIN_ROW, TestKind.STDIN),
        ({**STDIN_ROW, "tests": json.dumps(STDIN_ROW["tests"]), "entry_point": None}, TestKind.STDIN),
        (CHECK_ROW, TestKind.CHECK),
        ({**CHECK_ROW, "entry_point": "Solution().f"}, TestKind.CHECK),
        (REFERENCE_ROW, TestKind.REFERENCE),
    ],
)
def test_kinds_and_rows_back_from_tasks(row, kind):
    task = parse_task(row)
    assert task.kind is kind
    assert parse_task(json.loads(json.dumps(task_to_row(task)))) == task


@pytest.mark.parametrize(
    ("row", "key", "value", "read"),
    [
        (ROW, "entry_point", "Solution.f", "Solution.f"),
        (ROW, "entry_point", "Solution().f", "Solution.f"),
        (ROW, "prompt", "p", "p"),
        (ROW, "solution", "def solve(x): ...", "def solve(x): ..."),
        (ROW, "prelude", "leetcode", "leetcode"),
        (ROW, "prelude", "import math", "import math"),
        (ROW, "float_tol", 1e-6, 1e-6),
        (ROW, "float_tol", 0, 0),
        (ROW, "time_limit_s", 0.5, 0.5),
        (ROW, "memory_mib", 512, 512),
        (ROW, "result", "args.0", "args.0"),
        (ROW, "language", "en", "en"),
        (ROW, "split", "train", "train"),
        (ROW, "group", "graphs", "graphs"),
        (ROW, "profile", "torch", "torch"),
        (ROW, "metadata", {"rating": 1500, "tags": ["dp"]}, {"rating": 1500, "tags": ["dp"]}),
        (STDIN_ROW, "checker", "print(1)", "print(1)"),
        (STDIN_ROW, "float_tol", 0.1, 0.1),
        (REFERENCE_ROW, "result", "args.0", "args.0"),
    ],
)
def test_every_key_reaches_the_task_and_the_row(row, key, value, read):
    task = parse_task({**row, key: value})
    assert getattr(task, key) == read != getattr(parse_task(row), key)
    assert task_to_row(task)[key] == read
    assert key in TASK_KEYS


def test_humaneval_keys_are_accepted():
    body = "    return x + 1\n"
    row = {"task_id": "HumanEval/0", "prompt": "def f(x):\n", "entry_point": "f"}
    task = parse_task({**row, "test": CHECK_ROW["check"], "canonical_solution": body})
    assert (task.check, task.solution, task.prompt) == (CHECK_ROW["check"], body, "def f(x):\n")
    assert task == parse_task({**row, "check": CHECK_ROW["check"], "solution": body})


def test_tests_of_standard_input():
    rows = [{"stdin": "", "stdout": "é\0\r\n"}, {"stdin": "1", "stdout": ""}]
    task = parse_task({"task_id": "t", "tests": rows})
    assert task.stdin_tests == (StdinTest(stdin="", stdout="é\0\r\n"), StdinTest(stdin="1", stdout=""))
    assert (task.entry_point, task.tests) == ("", ())


@pytest.mark.parametrize(
    ("row", "test"),
    [
        ({"kwargs": {"k": {"$set": [1]}}, "expected": None}, Test(kwargs={"k": {"$set": [1]}}, expected=None)),
        ({"args": [1], "raises": "ValueError"}, Test(args=[1], raises="ValueError")),
        ({"args": [1], "raises": "Refused", "result": None}, Test(args=[1], raises="Refused")),
        ({"args": [1, 2], "expected": 3, "result": "args.1"}, Test(args=[1, 2], expected=3, result="args.1")),
        ({"args": [1], "kwargs": None, "raises": None, "expected": 2}, Test(args=[1], expected=2)),
        ({"args": [float("inf")], "expected": 1}, Test(args=[{"$float": "inf"}], expected=1)),
    ],
)
def test_options_of_a_call(row, test):
    task = parse_task({**ROW, "tests": [row]})
    assert task.tests == (test,)
    assert parse_task(task_to_row(task)) == task


@pytest.mark.parametrize(
    ("row", "change", "words"),
    [
        # unknown keys
        (ROW, {"float_tolerance": 1}, "task t: unknown key 'float_tolerance'; did you mean 'float_tol'?"),
        (ROW, {"entrypoint": "f"}, "unknown key 'entrypoint'; did you mean 'entry_point'?"),
        (ROW, {"zzz": 1}, "unknown key 'zzz'; known are task_id, prompt, "),
        (ROW, {"task_id": None, "taskid": 1}, "unknown key 'taskid'; did you mean 'task_id'?"),
        (ROW, {"tests": [*TESTS, {**CALL, "expectd": 1}]}, "test 1: unknown key 'expectd'; did you mean 'expected'?"),
        (STDIN_ROW, {"tests": [{"stdin": "", "stdout": "", "stderr": ""}]}, "test 0: unknown key 'stderr'"),
        # keys of another kind
        (ROW, {"checker": "print(1)"}, "checker does not apply to a task with tests of a function"),
        (ROW, {"inputs": [[1]]}, "inputs does not apply"),
        (STDIN_ROW, {"entry_point": "f"}, "entry_point does not apply to a task with stdin tests"),
        (STDIN_ROW, {"result": "args.0"}, "result does not apply to a task with stdin tests"),
        (CHECK_ROW, {"float_tol": 0.1}, "float_tol does not apply to a task with a check"),
        (CHECK_ROW, {"inputs": [[1]]}, "inputs does not apply to a task with a check"),
        (REFERENCE_ROW, {"checker": "print(1)"}, "checker does not apply to a task with a reference"),
        (STDIN_ROW, {"checker": "print(1)", "float_tol": 0.1}, "float_tol does not apply to a task with a checker"),
        (ROW, {"check": "c"}, "it has tests and check"),
        (CHECK_ROW, {"test": "c"}, "test and check are two names of one key"),
        (ROW, {"solution": "a", "canonical_solution": "b"}, "canonical_solution and solution are two names"),
        # names
        (ROW, {"task_id": None}, "missing: task_id"),
        (ROW, {"tests": None}, "missing: tests"),
        (ROW, {"tests": None, "entry_point": None}, "missing: entry_point, tests"),
        (ROW, {"entry_point": None}, "missing: entry_point"),
        (ROW, {"task_id": True}, "task_id must be a string or an integer"),
        (ROW, {"task_id": 10**5000}, "task_id must be a string or an integer of at most 64 bits, not <int too large"),
        (ROW, {"entry_point": "a b"}, "or of a method as Solution.f, not 'a b'"),
        (ROW, {"entry_point": 3}, "entry_point must be the name of a function"),
        (ROW, {"entry_point": "class"}, "entry_point must be the name of a function"),
        (ROW, {"entry_point": "None"}, "entry_point must be the name of a function"),
        (ROW, {"entry_point": "a.b.c"}, "entry_point must be the name of a function"),
        (ROW, {"entry_point": "Solution(1).f"}, "entry_point must be the name of a function"),
        (ROW, {"entry_point": "f()"}, "entry_point must be the name of a function"),
        (ROW, {"entry_point": ".f"}, "entry_point must be the name of a function"),
        # scalars
        *[(ROW, {key: 3}, f"{key} must be a string, not 3") for key in ("prompt", "solution", "prelude", "language")],
        *[(ROW, {key: [1]}, f"{key} must be a string, not [1]") for key in ("split", "group")],
        (CHECK_ROW, {"check": 3}, "check must be a string"),
        (REFERENCE_ROW, {"reference": 3}, "reference must be a string"),
        (STDIN_ROW, {"checker": 3}, "checker must be a string"),
        (ROW, {"metadata": "m"}, "metadata must be an object, not 'm'"),
        *[(ROW, {"float_tol": v}, "float_tol must be a finite") for v in ("x", -1, 10**400, True, float("nan"))],
        *[(ROW, {"time_limit_s": value}, "time_limit_s must be a") for value in ("1", 0, -1, True, 1e7, float("inf"))],
        *[(ROW, {"memory_mib": v}, "memory_mib must be an integer from 32 to") for v in (256.0, 31, 2**21, "1")],
        (ROW, {"profile": "gpu"}, "profile must be one of cpu, torch, cuda, not 'gpu'"),
        (CHECK_ROW, {"profile": "cuda"}, "profile must be cpu or torch for a check"),
        (ROW, {"prelude": "leetcod"}, "prelude must be Python source or one of leetcode, not 'leetcod'"),
        (ROW, {"prelude": "import ("}, "prelude is not valid Python: "),
        (STDIN_ROW, {"checker": "print(1"}, "checker is not valid Python: "),
        (CHECK_ROW, {"check": "import pandas\n"}, "the check imports pandas; sandboxes have the standard library"),
        (CHECK_ROW, {"check": "import numpy\n", "profile": "cpu"}, "the check imports numpy, which profile cpu lacks"),
        # tests
        (ROW, {"tests": []}, "tests must be a list of at least one"),
        (ROW, {"tests": {}}, "tests must be a list of at least one"),
        (ROW, {"tests": "[{]"}, "task t: "),
        (ROW, {"tests": '[{"args": [NaN], "expected": 1}]'}, "NaN is not JSON"),
        (ROW, {"tests": '[{"args": [1e999], "expected": 1}]'}, "1e999 is out of range for a float"),
        (ROW, {"tests": [3]}, "test 0: a test must be an object with args and expected, not 3"),
        (ROW, {"tests": [*TESTS, {"args": [1]}]}, "test 1: a test must be an object with args and expected"),
        (ROW, {"tests": [{"expected": 1}]}, "test 0: a test must be an object with args and expected"),
        (ROW, {"tests": [*TESTS, {"stdin": "", "stdout": ""}]}, "test 1: stdin belongs to another kind of test"),
        (STDIN_ROW, {"tests": [*STDIN_ROW["tests"], CALL]}, "test 1: args belongs to another kind of test"),
        (ROW, {"tests": [{"args": 1, "expected": 1}]}, "test 0: args must be a list, not 1"),
        (ROW, {"tests": [{"args": [{"$set": [[1]]}], "expected": 1}]}, "test 0: "),
        (ROW, {"tests": [{"args": [], "expected": {"$frozenset": []}}]}, "test 0: malformed tag"),
        (ROW, {"tests": [{"args": [], "kwargs": [1], "expected": 1}]}, "test 0: kwargs must be an object"),
        (ROW, {"tests": [{"args": [], "kwargs": {"a b": 1}, "expected": 1}]}, "test 0: kwargs must be an object"),
        (ROW, {"tests": [{"kwargs": {"a": {"$x": 1}}, "expected": 1}]}, "test 0: malformed tag"),
        (ROW, {"tests": [{**CALL, "raises": "ValueError"}]}, "test 0: it has expected and raises"),
        (ROW, {"tests": [{"args": [], "raises": "not a name"}]}, "test 0: raises must be the name of an exc"),
        (ROW, {"tests": [{"args": [], "raises": "class"}]}, "test 0: raises must be the name of an exc"),
        (ROW, {"tests": [{"args": [], "raises": 3}]}, "test 0: raises must be the name of an exc"),
        (ROW, {"tests": [{"args": [], "raises": "print"}]}, "but print is none"),
        (ROW, {"tests": [{"args": [], "raises": "int"}]}, "but int is none"),
        (ROW, {"tests": [{"args": [1], "raises": "KeyError", "result": "args.0"}]}, "it has raises and result"),
        (ROW, {"tests": [{**CALL, "result": "args.1"}]}, "test 0: result is args.1, but a call has 1 positional"),
        (ROW, {"tests": [{**CALL, "result": "return"}]}, "test 0: result must be args.N, as in args.0, not 'return'"),
        (ROW, {"result": "args.01"}, "result must be args.N"),
        (ROW, {"result": "args.1"}, "result is args.1, but a call has 1 positional arguments"),
        (REFERENCE_ROW, {"result": "args.1"}, "result is args.1, but a call has 1 positional arguments"),
        (ROW, {"tests": [{"args": [], "expected": {"$tensor": {"dtype": "bool", "shape": [0], "data": []}}}]}, "torch"),
        (REFERENCE_ROW, {"inputs": [[{"$tensor": {"dtype": "int8", "shape": [0], "data": []}}]]}, "tensors"),
        (STDIN_ROW, {"tests": [{"stdin": "1"}]}, "test 0: stdout must be a string, not None"),
        (STDIN_ROW, {"tests": [{"stdin": ["1"], "stdout": ""}]}, "test 0: stdin must be a string, not ['1']"),
        (STDIN_ROW, {"tests": [{"stdin": "", "stdout": "\ud83d"}]}, "test 0: stdout holds a lone surrogate"),
        (REFERENCE_ROW, {"inputs": None}, "inputs must be a list of at least one list"),
        (REFERENCE_ROW, {"inputs": [1]}, "inputs must be a list of at least one list"),
        (REFERENCE_ROW, {"inputs": [[1], [{"$x": 1}]]}, "inputs 1: malformed tag"),
        # tests that no program can pass together
        (ROW, {"tests": [CALL, {**CALL, "expected": 2}]}, "tests 0 and 1 have the same input and expect different"),
        (ROW, {"tests": [CALL, {"args": CALL["args"], "raises": "KeyError"}]}, "tests 0 and 1 have the same input"),
        (STDIN_ROW, {"tests": [{"stdin": "", "stdout": "1"}, {"stdin": "", "stdout": "2"}]}, "tests 0 and 1"),
    ],
)  # fmt: skip
def test_invalid_row_raises_one_line(row, change, words):
    with pytest.raises(ValueError, match=r"task|unknown key") as caught:
        parse_task({**row, **change})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("row", "tests", "more"),
    [
        (ROW, [CALL, CALL], {}),
        (ROW, [CALL, {**CALL, "expected": 1.0000001}], {"float_tol": 1e-6}),
        (ROW, [{"args": [], "expected": [1]}, {"args": [], "expected": {"$tuple": [1]}}], {}),
        (ROW, [{"args": [], "expected": {"$set": [1, 2]}}, {"args": [], "expected": {"$set": [2, 1]}}], {}),
        (ROW, [{"args": [], "raises": "KeyError"}, {"args": [], "raises": "LookupError"}], {}),
        (ROW, [{"args": [1, 2], "expected": 1}, {"args": [1, 2], "expected": 2, "result": "args.1"}], {}),
        (ROW, [{"args": [1], "expected": 1}, {"args": [], "kwargs": {"x": 1}, "expected": 2}], {}),
        (STDIN_ROW, [{"stdin": "", "stdout": "1 \n"}, {"stdin": "", "stdout": "1"}], {}),
        (STDIN_ROW, [{"stdin": "", "stdout": "1"}, {"stdin": "", "stdout": "2"}], {"checker": "print(1)"}),
    ],
)
def test_tests_that_one_program_can_pass_together_are_accepted(row, tests, more):
    assert parse_task({**row, "tests": tests, **more}).num_tests == 2


def test_count_expected_bytes_matches_results_of_a_correct_program():
    task = parse_task({**ROW, "tests": [{"args": [1], "expected": "abc"}, {"args": [2], "expected": [1, "é"]}]})
    assert count_expected_bytes(task.tests) == len('v"abc"\n') + len('v[1,"\\u00e9"]\n')
    stdin = parse_task({**STDIN_ROW, "tests": [{"stdin": "", "stdout": "é\n"}, {"stdin": "1", "stdout": "ab"}]})
    assert count_expected_bytes(stdin.stdin_tests) == 3
    assert count_expected_bytes(()) == 0


@pytest.mark.parametrize(
    ("check", "profile", "chosen"),
    [
        ("import math\nfrom typing import List\n", None, "cpu"),
        ("import numpy as np\n", None, "torch"),
        ("from numpy.linalg import norm\n", None, "torch"),
        ("import os, numpy\n", "torch", "torch"),
        ("import math\n", "torch", "torch"),
        ("'''\nimport pandas\n'''\n", None, "cpu"),
        ("try:\n    import pandas\nexcept ImportError:\n    pass\n", None, "cpu"),
        ("import (", None, "cpu"),
    ],
)
def test_profile_of_a_check_has_what_it_imports(check, profile, chosen):
    assert choose_check_profile(check, profile) == chosen
    assert parse_task({**CHECK_ROW, "check": check, "profile": profile}).profile == chosen


@pytest.mark.parametrize("name", ["cpu_time_s", "wall_time_s", "memory_bytes", "output_bytes", "source_bytes"])
def test_limits_are_above_zero(name):
    with pytest.raises(ValueError, match=name):
        Limits(**{name: 0})


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"cpu_time_s": float("inf")}, "cpu_time_s must be above 0 and at most 1000000 seconds, not inf"),
        ({"cpu_time_s": 1e20}, "cpu_time_s must be above 0 and at most 1000000 seconds, not 1e+20"),
        ({"wall_time_s": float("nan")}, "wall_time_s must be above 0 and at most 1000000 seconds, not nan"),
        ({"wall_time_s": "5"}, "wall_time_s must be above 0 and at most 1000000 seconds, not '5'"),
        ({"memory_bytes": 256e6}, "memory_bytes must be an integer from 33554432 to 1099511627776, not 256000000.0"),
        ({"memory_bytes": 1000}, "memory_bytes must be an integer from 33554432 to 1099511627776, not 1000"),
        ({"memory_bytes": 1 << 70}, "memory_bytes must be an integer from"),
        ({"output_bytes": 1e6}, "output_bytes must be an integer from 1 to 1073741824, not 1000000.0"),
        ({"source_bytes": True}, "source_bytes must be an integer from 1 to 1073741824, not True"),
    ],
)
def test_limits_out_of_range_raise_one_line(limits, words):
    with pytest.raises(ValueError, match="^limits: ") as caught:
        Limits(**limits)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_scaled_limits_stay_within_the_maximum():
    widest = Limits(cpu_time_s=1e6, wall_time_s=4e5, memory_bytes=32 << 20)
    assert widest.scaled(2.0) == Limits(cpu_time_s=1e6, wall_time_s=8e5, memory_bytes=32 << 20)
    assert widest.scaled(1.0, extra_s=5.0) == Limits(cpu_time_s=1e6, wall_time_s=400_005.0, memory_bytes=32 << 20)
