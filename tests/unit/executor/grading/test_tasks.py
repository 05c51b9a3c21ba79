import json

import pytest

from executor.grading.tasks import task_from_row
from executor.types import Limits

TESTS = [{"args": [1], "expected": {"$tuple": [1]}}]
ROW = {"task_id": "t", "entry_point": "solve", "tests": TESTS}


def test_tests_are_a_list_or_its_json():
    assert task_from_row(ROW) == task_from_row({**ROW, "tests": json.dumps(TESTS), "solution": "ignored"})
    assert task_from_row({**ROW, "task_id": 7}).task_id == "7"
    assert task_from_row({**ROW, "prompt": "p", "float_tol": 1e-6}).float_tol == 1e-6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task_id": None}, "missing: task_id"),
        ({"tests": None, "entry_point": None}, "missing: entry_point, tests"),
        ({"task_id": True}, "string or an integer"),
        ({"entry_point": "a b"}, "name of a function"),
        ({"entry_point": 3}, "name of a function"),
        ({"prompt": 3}, "prompt must be a string"),
        ({"float_tol": "x"}, "float_tol"),
        ({"float_tol": -1}, "float_tol"),
        ({"float_tol": 10**400}, "float_tol"),
        ({"float_tol": True}, "float_tol"),
        ({"tests": []}, "at least one"),
        ({"tests": {}}, "at least one"),
        ({"tests": "[{]"}, "task t: "),
        ({"tests": '[{"args": [NaN], "expected": 1}]'}, "NaN is not JSON"),
        ({"tests": [3]}, "test 0 must be an object"),
        ({"tests": [*TESTS, {"args": [1]}]}, "test 1 must be an object"),
        ({"tests": [{"args": 1, "expected": 1}]}, "args must be a list"),
        ({"tests": [{"args": [{"$set": [[1]]}], "expected": 1}]}, "test 0: "),
        ({"tests": [{"args": [], "expected": {"$frozenset": []}}]}, "malformed tag"),
    ],
)
def test_a_bad_row_is_one_clear_line(change, words):
    with pytest.raises(ValueError, match="task") as caught:
        task_from_row({**ROW, **change})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


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
def test_limits_that_make_no_sense_are_one_line(limits, words):
    with pytest.raises(ValueError, match="^limits: ") as caught:
        Limits(**limits)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_widest_limits_stay_within_sense_on_a_slow_machine():
    widest = Limits(cpu_time_s=1e6, wall_time_s=4e5, memory_bytes=32 << 20)
    assert widest.scaled(2.0) == Limits(cpu_time_s=1e6, wall_time_s=8e5, memory_bytes=32 << 20)
    assert widest.extended_by(5.0) == Limits(cpu_time_s=1e6, wall_time_s=400_005.0, memory_bytes=32 << 20)
