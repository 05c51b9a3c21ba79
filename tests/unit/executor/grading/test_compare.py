import time

import pytest

from executor.grading import compare
from executor.grading.compare import describe_stdout_difference, stdout_equal, values_equal
from executor.sandbox import codec as values
from executor.sandbox.nodes import NodeValue

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
    ({0.1 + 0.2: 1}, {0.3: 1}, False, True),
    ({0.1 + 0.2: 1}, {0.3: 2}, False, False),
    ({0.3: 1}, {0.1: 1}, False, False),
    ({0.1 + 0.2: 1, 5: 2}, {0.3: 1, 5.0: 2}, False, True),
    ({(0.1 + 0.2, "a"): 1}, {(0.3, "a"): 1}, False, True),
    ({(0.1 + 0.2, "a"): 1}, {(0.3, "b"): 1}, False, False),
    ({0.1 + 0.2: [1.0 + 1e-9]}, {0.3: [1.0]}, False, True),
    ({1.0 + 1e-9: "a", 2.0: "b"}, {1.0: "b", 2.0: "a"}, False, False),
    ({2: 1}, {3: 1}, False, False),
    ({NAN: 1.0 + 1e-9}, {NAN: 1.0}, False, True),
    ({"0.30000000001": 1}, {"0.3": 1}, False, False),
    ({(0.1 + 0.2, 1), (0.3, 2)}, {(0.3, 1), (0.1 + 0.2, 2)}, False, True),
    ({(0.3, 1), (0.1 + 0.2, 1)}, {(0.3, 1), (0.3, 2)}, False, False),
    ({0.9e-6, 0.0}, {-0.9e-6, 0.0}, False, True),  # 0.9e-6 is near 0.0 and 0.0 near -0.9e-6
    ({1.0, INF}, {1.0 + 1e-9, INF}, False, True),
    ({1.0, NAN}, {1.0 + 1e-9, NAN}, False, True),
    ({1.0, NAN}, {1.0 + 1e-9, 2.0}, False, False),
    ({1.0, "a"}, {1.0 + 1e-9, "a"}, False, True),
    ({1.0, "a"}, {1.0 + 1e-9, "b"}, False, False),
    ({1.5, True}, {1.5 + 1e-9, True}, False, True),
    ({10**400, 1.0}, {10**400, 1.0 + 1e-9}, False, True),
    ({10**400 + 1, 1.0}, {10**400, 1.0 + 1e-9}, False, False),
    (NodeValue("$tree", (1, None, 2)), NodeValue("$tree", (1, None, 2)), True, True),
    (NodeValue("$tree", (1, None, 2)), NodeValue("$tree", (1, 2)), False, False),
    (NodeValue("$list", (1,)), NodeValue("$tree", (1,)), False, False),
    (NodeValue("$list", (1,)), NodeValue("$list", (True,)), False, False),
    (NodeValue("$list", (1.0 + 1e-9,)), NodeValue("$list", (1.0,)), False, True),
    (NodeValue("$list", (1,)), [1], False, False),
    ([1], NodeValue("$list", (1,)), False, False),
    (None, NodeValue("$list", (1,)), False, False),
    ({}, [], False, False),
    ("", [], False, False),
]


@pytest.mark.parametrize(("actual", "expected", "exactly", "roughly"), CASES)
def test_values_equal_follows_the_rules_with_and_without_tolerance(actual, expected, exactly, roughly):
    assert values_equal(actual, expected) is exactly
    assert values_equal(actual, expected, float_tol=1e-6) is roughly


def test_values_equal_uses_the_given_tolerance():
    assert not values_equal(100.0, 101.0, float_tol=0.001)
    assert values_equal(100.0, 101.0, float_tol=0.01)
    assert values_equal(1, 1.0, float_tol=0.0)


def test_values_equal_of_a_deep_value_and_a_shallow_one_is_false():
    deep = ()
    for _ in range(60):
        deep = (deep,)
    assert not values_equal({deep}, {1})
    assert not values_equal([deep], [1])


def test_values_equal_of_too_many_equal_hashes_is_false(monkeypatch):
    crowd = [n * (2**61 - 1) for n in range(1, 6)]  # Python hashes each of them to 0
    as_dict = dict.fromkeys(crowd, 1)
    assert values_equal(set(crowd), set(crowd))
    assert values_equal(as_dict, as_dict)
    monkeypatch.setattr(values, "MAX_EQUAL_HASHES", 4)
    assert not values_equal(set(crowd), set(crowd))
    assert not values_equal(as_dict, as_dict)
    assert values_equal(set(crowd[:4]), set(crowd[:4]))


def test_large_sets_are_compared_in_less_than_quadratic_time():
    num = 6_000
    started = time.process_time()
    assert values_equal({n + 1e-9 for n in range(num)}, {float(n) for n in range(num)}, float_tol=1e-6)
    assert not values_equal({n + 0.5 for n in range(num)}, {float(n) for n in range(num)}, float_tol=1e-6)
    # equal up to the second number of each element: nothing but a search pairs them
    returned = {(0.1 + n * 1e-12, float(n)) for n in range(num)}
    wanted = {(0.1 - n * 1e-12, float(n)) for n in range(num)}
    assert not values_equal(returned, wanted, float_tol=1e-6)
    assert time.process_time() - started < 15.0  # 36 million comparisons would take a minute


def test_search_for_pairs_ends_after_max_matching_steps(monkeypatch):
    returned = {(0.1 + n * 1e-12, n) for n in range(20)}
    wanted = {(0.1 - n * 1e-12, n) for n in range(20)}
    assert values_equal(returned, wanted, float_tol=1e-6)
    monkeypatch.setattr(compare, "MAX_MATCHING_STEPS", 100)  # 20 + 19 + ... comparisons of two numbers are needed
    assert not values_equal(returned, wanted, float_tol=1e-6)


# printed, expected, equal without a tolerance, equal with 1e-6
OUTPUTS = [
    ("1\n2\n", "1\n2\n", True, True),
    ("1\n2", "1\n2\n\n\n", True, True),
    ("1\n2\n \n\t\n", "1\n2", True, True),
    ("1  \n2\t\r\n", "1\n2", True, True),
    ("1\r\n2\r\n", "1\n2\n", True, True),
    ("", "", True, True),
    ("\n\n", "", True, True),
    ("", "\n", True, True),
    ("", "1", False, False),
    ("1", "", False, False),
    ("1\n2", "1 2", False, False),
    ("1\n", "1\n2\n", False, False),  # a prefix of the right output
    ("1\n2\n3\n", "1\n2\n", False, False),
    ("\n1", "1", False, False),
    ("1\n\n2", "1\n2", False, False),
    (" 1", "1", False, True),
    ("1  2", "1 2", False, True),
    ("a  b", "a b", False, True),
    ("True", "true", False, False),
    ("yes", "YES", False, False),
    ("1\x0b2", "1\n2", False, False),
    ("1\u20282", "1\n2", False, False),
    ("1\r2", "1\n2", False, False),
    ("é 漢 \U0001f600", "é 漢 \U0001f600", True, True),
    ("a\0", "a\0", True, True),
    ("a\0", "a", False, False),
    # numbers
    ("0.30000000001", "0.3", False, True),
    ("0.31", "0.3", False, False),
    ("1000000.5", "1000000.0", False, True),  # relative
    ("0.0000005", "0", False, True),  # absolute
    ("10.0", "10", False, True),
    ("1e1", "10", False, True),
    ("1E+1", "10.", False, True),
    (".5", "0.5", False, True),
    ("+5", "5", False, True),
    ("-0", "0", False, True),
    ("-5", "5", False, False),
    ("007", "7", False, True),
    ("000", "0", False, True),
    ("1000000001", "1000000000", False, False),  # integers are exact
    ("9" * 5000, "9" * 5000, True, True),
    ("9" * 5000, "9" * 4999 + "8", False, False),
    ("0" + "9" * 5000, "9" * 5000, False, True),
    ("-" + "9" * 5000, "9" * 5000, False, False),
    ("9" * 5000 + ".0", "9" * 5000, False, False),  # beyond the floats only text is equal
    ("1e999", "1e998", False, False),
    ("1e999", "1e999", True, True),
    ("1e-999", "0.0", False, True),
    ("nan", "NaN", False, False),
    ("nan", "nan", True, True),
    ("inf", "infinity", False, False),
    ("inf", "1e999", False, False),
    ("1_0", "10", False, False),
    ("1_0.0", "10", False, False),
    ("٣", "3", False, False),
    ("３.0", "3", False, False),
    ("0x10", "16", False, False),
    ("1,5", "1.5", False, False),
    ("1.5,", "1.5000000001,", False, False),
    ("x = 0.30000000001 m", "x = 0.3 m", False, True),
    ("x = 0.30000000001 m", "y = 0.3 m", False, False),
    ("0.3 0.3", "0.3", False, False),
    ("1.5.5", "1.5", False, False),
    (".", "0", False, False),
    ("e5", "0", False, False),
    ("--5", "5", False, False),
    ("+-5", "-5", False, False),
]


@pytest.mark.parametrize(("printed", "expected", "exactly", "roughly"), OUTPUTS)
def test_stdout_equal_follows_the_rules_with_and_without_tolerance(printed, expected, exactly, roughly):
    for float_tol, equal in ((None, exactly), (1e-6, roughly)):
        assert stdout_equal(printed.encode(), expected, float_tol=float_tol) is equal
        assert (describe_stdout_difference(printed.encode(), expected, float_tol=float_tol) == "") is equal


@pytest.mark.parametrize("printed", [b"\xff", b"1\xe9\n", "\ud83d".encode("utf-8", "surrogatepass"), b"\xc0\x80"])
def test_output_that_is_not_utf_8_is_wrong(printed):
    assert not stdout_equal(printed, "1")
    assert not stdout_equal(printed, printed.decode("utf-8", "replace"), float_tol=1.0)
    assert describe_stdout_difference(printed, "1") == "the output is not UTF-8"


MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    "printed",
    [
        b"0" * MEGABYTE + b"x",
        b"1" * MEGABYTE,
        b"1" * MEGABYTE + b".5",
        b"1e" + b"9" * MEGABYTE,
        b"." * MEGABYTE,
        b"-" * MEGABYTE,
        b"0." + b"1" * MEGABYTE + b"x",
        b"1 " * (MEGABYTE // 2),
        b" " * MEGABYTE + b"1",
        b"\n" * MEGABYTE + b"1",
        b"\0" * MEGABYTE,
    ],
    ids=lambda printed: repr(printed[:4] + printed[-2:]),
)
def test_hostile_output_is_compared_in_linear_time(printed):
    for expected in (printed.decode() + "2", printed.decode()[:-1] + "2", "1.5"):
        started = time.process_time()
        assert not stdout_equal(printed, expected, float_tol=1e-6)
        assert len(describe_stdout_difference(printed, expected)) <= 200
        assert time.process_time() - started < 10.0  # quadratic steps would take hours


@pytest.mark.parametrize(
    ("printed", "expected", "words"),
    [
        (b"1\n2\n", "1\n3\n", "line 2: '2'; expected '3'"),
        (b"1\n", "1\n3\n", "line 2: the output ends; expected '3'"),
        (b"1\n3\n", "1\n", "line 2: '3' after the end of the expected output"),
        (b"", "5", "line 1: the output ends; expected '5'"),
        (b"a" * 100 + b"b", "a" * 100 + "c", "line 1: '..." + "a" * 20 + "b'; expected '..." + "a" * 20 + "c'"),
        (b"a" * 100, "a" * 101, "line 1: '..." + "a" * 20 + "'; expected '..." + "a" * 21 + "'"),
        (b"\0", "1", "line 1: '\\x00'; expected '1'"),
    ],
)
def test_stdout_difference_names_the_first_difference(printed, expected, words):
    assert describe_stdout_difference(printed, expected) == words


def test_stdout_difference_has_at_most_200_characters():
    printed, expected = b"\0" * 500, "\U0001f600\1" * 500
    text = describe_stdout_difference(printed, expected)
    assert len(text) <= 200
    assert text.startswith("line 1: '\\x00")
    assert "; expected '\U0001f600\\x01" in text
