"""What a task sends to the sandbox, and what it never sends."""

import json
from dataclasses import FrozenInstanceError

import pytest

from executor.types import StdinTest, Task, Test, TestKind


@pytest.mark.parametrize(
    ("task", "kind", "num_tests", "defined_name"),
    [
        (Task(task_id="t", entry_point="f", tests=(Test(args=[1]), Test(args=[2]))), TestKind.CALL, 2, "f"),
        (Task(task_id="t", entry_point="Solution.f", tests=(Test(args=[1]),)), TestKind.METHOD, 1, "Solution"),
        (Task(task_id="t", stdin_tests=(StdinTest(stdin="", stdout="1"),) * 3), TestKind.STDIN, 3, ""),
        (Task(task_id="t", entry_point="f", check="def check(c): ..."), TestKind.CHECK, 1, "f"),
        (Task(task_id="t", entry_point="S.f", check="def check(c): ..."), TestKind.CHECK, 1, "S"),
        (Task(task_id="t", entry_point="f", reference="...", inputs=([1], [2])), TestKind.REFERENCE, 2, "f"),
    ],
)
def test_kinds(task, kind, num_tests, defined_name):
    assert (task.kind, task.num_tests, task.defined_name) == (kind, num_tests, defined_name)


def test_plain_call_is_a_list_of_arguments():
    task = Task(task_id="t", entry_point="f", tests=(Test(args=[1, [2]], expected=3), Test(expected=4)))
    assert task.calls == ([1, [2]], [])


@pytest.mark.parametrize(
    ("test", "call"),
    [
        (Test(args=[1], kwargs={"k": 2}, expected=3), {"args": [1], "kwargs": {"k": 2}}),
        (Test(args=[1], expected=3, result="args.0"), {"args": [1], "result": "args.0"}),
        (Test(kwargs={"k": 2}, result="args.1"), {"args": [], "kwargs": {"k": 2}, "result": "args.1"}),
        (Test(args=[1], raises="ValueError"), [1]),
    ],
)
def test_call_with_options_is_an_object(test, call):
    assert Task(task_id="t", entry_point="f", tests=(test,)).calls == (call,)


def test_result_of_a_task_applies_to_tests_without_raises():
    tests = (Test(args=[1]), Test(args=[1, 2], result="args.1"), Test(args=[3], raises="KeyError"))
    task = Task(task_id="t", entry_point="f", tests=tests, result="args.0")
    assert task.calls == ({"args": [1], "result": "args.0"}, {"args": [1, 2], "result": "args.1"}, [3])
    by_reference = Task(task_id="t", entry_point="f", reference="...", inputs=([1],), result="args.0")
    assert by_reference.calls == ({"args": [1], "result": "args.0"},)


def test_calls_contain_no_expected_value():
    tests = (Test(args=[1], expected="secret"), Test(args=[2], raises="Secret"))
    task = Task(task_id="secret", entry_point="f", tests=tests, solution="secret", metadata={"secret": 1})
    assert "secret" not in json.dumps(task.calls).lower()
    assert Task(task_id="t", stdin_tests=(StdinTest(stdin="1", stdout="secret"),)).calls == ()
    assert Task(task_id="t", entry_point="f", check="secret").calls == ()


def test_records_are_frozen():
    with pytest.raises(FrozenInstanceError):
        Test(args=[1]).expected = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Task(task_id="t").check = "c"  # type: ignore[misc]
