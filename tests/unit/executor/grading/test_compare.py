import pytest

from executor.grading.compare import values_equal
from executor.sandbox import codec as values

NAN, INF = float("nan"), float("inf")

# actual, expected, equal without a tolerance, equal with 1e-6
CASES = [
    (1, 1, True, True),
    (1, True, False, False),
    (True, 1, False, False),
    (0, False, False, False),
    (1.0, 1, False, True),
    (1, 1.0, False, True),
    (1.0, True, False, False),
    (True, 1.0, False, False),
    (10**9, 10**9 + 1, False, False),  # two ints are exact: relative 1e-9 does not help
    (1.0, 1.0 + 1e-9, False, True),
    (1.0, 1.1, False, False),
    (1e9, 1e9 + 1, False, True),
    (0.0, 5e-7, False, True),
    (0.0, -0.0, True, True),
    (NAN, NAN, True, True),
    (NAN, 0.0, False, False),
    (INF, INF, True, True),
    (INF, -INF, False, False),
    (INF, 1e308, False, False),
    (10**400, 1.5, False, False),
    (1.5, 10**400, False, False),
    ("1", 1, False, False),
    ("a", "a", True, True),
    (None, None, True, True),
    (None, 0, False, False),
    (None, False, False, False),
    ((1, 2), [1, 2], True, True),
    ([1, 2], (1, 2), False, False),
    ((1, 2), (1, 2), True, True),
    ([(1, 2)], [[1, 2]], True, True),
    ([[1, 2]], [(1, 2)], False, False),
    ([1, 2], [1, 2, 3], False, False),
    ([1, 2, 3], [1, 2], False, False),
    ([True], [1], False, False),
    ([], (), False, False),
    ({1, 2}, {2, 1}, True, True),
    ({True}, {1}, False, False),
    ({1.0}, {1}, False, True),
    ({(1, True)}, {(1, 1)}, False, False),
    ({NAN}, {NAN}, True, True),
    ({0.1 + 0.2, 5.0}, {0.3, 5.0}, False, True),
    ({1.0, 2.0}, {1.0, 3.0}, False, False),
    ({1}, [1], False, False),
    ([1], {1}, False, False),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True, True),
    ({"a": True}, {"a": 1}, False, False),
    ({True: 1}, {1: 1}, False, False),
    ({1.0: 1}, {1: 1}, False, True),
    ({"a": 1}, {"a": 1, "b": 2}, False, False),
    ({"a": 1, "c": 2}, {"a": 1, "b": 2}, False, False),
    ({"a": [1.0]}, {"a": [1.0 + 1e-9]}, False, True),
    ({}, [], False, False),
    ("", [], False, False),
]


@pytest.mark.parametrize(("actual", "expected", "exactly", "roughly"), CASES)
def test_the_rules(actual, expected, exactly, roughly):
    assert values_equal(actual, expected) is exactly
    assert values_equal(actual, expected, float_tol=1e-6) is roughly


def test_the_tolerance_is_that_of_the_task():
    assert not values_equal(100.0, 101.0, float_tol=0.001)
    assert values_equal(100.0, 101.0, float_tol=0.01)
    assert values_equal(1, 1.0, float_tol=0.0)


def test_a_deep_answer_to_a_shallow_question_is_just_wrong():
    deep = ()
    for _ in range(60):
        deep = (deep,)
    assert not values_equal({deep}, {1})
    assert not values_equal([deep], [1])


def test_stand_ins_of_equal_hash_are_not_looked_up(monkeypatch):
    crowd = [n * (2**61 - 1) for n in range(1, 6)]  # Python hashes each of them to 0
    as_dict = dict.fromkeys(crowd, 1)
    assert values_equal(set(crowd), set(crowd))
    assert values_equal(as_dict, as_dict)
    monkeypatch.setattr(values, "MAX_EQUAL_HASHES", 4)
    assert not values_equal(set(crowd), set(crowd))
    assert not values_equal(as_dict, as_dict)
    assert values_equal(set(crowd[:4]), set(crowd[:4]))
