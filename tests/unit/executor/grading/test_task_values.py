"""Values of rows: the form that travels, integers of any length, and what is malformed."""

import json
import random
import subprocess
import sys

import pytest

from executor.grading.tasks import parse_task, task_to_row
from executor.grading.tasks.values import parse_big_int, parse_row_json, prepare_value

BIG = 10**5000 + 7


@pytest.mark.parametrize(
    ("value", "prepared"),
    [
        (1, 1),
        (True, True),
        ([2**14_000 - 1], [2**14_000 - 1]),
        ([2**14_000], [{"$int": hex(2**14_000)}]),
        ([-(2**14_000)], [{"$int": "-0x1" + "0" * 3500}]),
        ([{"a": {"$set": [BIG, 1]}}], [{"a": {"$set": [{"$int": hex(BIG)}, 1]}}]),
        ({"$int": "0xff"}, 255),
        ({"$int": "-0x1"}, -1),
        ({"$int": hex(BIG)}, {"$int": hex(BIG)}),
        (float("nan"), {"$float": "nan"}),
        ([float("-inf")], [{"$float": "-inf"}]),
        ({"$tree": [1, None, 2, None, None]}, {"$tree": [1, None, 2]}),
        ({"$tree": [1, 2, 3, None, None, 4]}, {"$tree": [1, 2, 3, None, None, 4]}),
        ({"$tree": []}, None),
        ({"$tree": [None]}, None),
        ({"$list": []}, None),
        ([{"$list": [1, "a", 2.5, True]}], [{"$list": [1, "a", 2.5, True]}]),
        ({"$tuple": [{"$list": [1]}]}, {"$tuple": [{"$list": [1]}]}),
        ({"$dict": [[1, {"$tree": [1]}]]}, {"$dict": [[1, {"$tree": [1]}]]}),
    ],
)
def test_prepare_value_returns_one_form(value, prepared):
    assert prepare_value(value) == prepared
    assert prepare_value(prepare_value(value)) == prepared


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"$int": 3}, "$int takes lower-case hexadecimal digits"),
        ({"$int": "12"}, "$int takes"),
        ({"$int": "0xFF"}, "$int takes"),
        ({"$int": "0x_1"}, "$int takes"),
        ([1 << (1 << 22)], "an integer of 4194305 bits; 4194304 are allowed"),
        ({"$tree": 3}, "$tree takes a list of values, not int"),
        ({"$tree": [1, None, None, 4]}, "$tree: value 3 has no parent"),
        ({"$tree": [None, 1]}, "$tree: value 1 has no parent"),
        ({"$tree": [[1]]}, "$tree: value 0 must be a number, a string, a boolean or null"),
        ({"$tree": [float("nan")]}, "$tree: value 0 must be"),
        ({"$list": [1, None]}, "$list: value 1 must be a number, a string or a boolean"),
        ({"$list": [BIG]}, "$list: value 0 is an integer of over 14000 bits"),
        ({"$set": [{"$tree": [1]}]}, "unhashable"),
        ({"$tree": [1], "$list": [1]}, "a tag together with other keys"),
        ({"$tuple": 3}, "malformed tag"),
    ],
)
def test_prepare_value_of_malformed_values_raises_value_error(value, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its words are compared below
        prepare_value(value)
    assert words in str(caught.value)


def test_depth_is_bounded():
    deep = 1
    for _ in range(64):
        deep = [deep]
    assert prepare_value(deep) == deep
    with pytest.raises(ValueError, match="deeper than 64"):
        prepare_value([deep])
    for _ in range(100_000):
        deep = {"$dict": [[1, deep]]}
    with pytest.raises(ValueError, match="deeper than 64"):
        prepare_value(deep)


def decimal_digits(value: int) -> str:
    """An independent oracle: the lines that another Python prints without a limit."""
    program = f"import sys\nsys.set_int_max_str_digits(0)\nprint({value:#x})"
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("bits", [1, 64, 6_803, 6_804, 14_000, 27_214, 70_001])
def test_big_integers_from_decimal_digits(bits):
    value = random.Random(bits).getrandbits(bits) | 1 << (bits - 1)
    assert parse_big_int(decimal_digits(value)) == value
    assert parse_big_int(decimal_digits(-value)) == -value


@pytest.mark.parametrize("num_digits", [2047, 2048, 2049, 4096, 4097, 6144, 10_000])
def test_powers_of_ten_and_leading_zeros(num_digits):
    assert parse_big_int("1" + "0" * num_digits) == 10**num_digits
    assert parse_big_int("9" * num_digits) == 10**num_digits - 1
    assert parse_big_int("-1" + "0" * num_digits) == -(10**num_digits)


def test_integer_of_over_1_26_million_digits_raises_value_error():
    with pytest.raises(ValueError, match="an integer of 1262613 digits; 1262612 are allowed"):
        parse_big_int("1" * 1_262_613)


def test_json_of_rows_with_big_integers():
    limit = sys.get_int_max_str_digits()
    assert parse_row_json('{"a": [1, -1' + "0" * 5000 + ', 1.5, "' + "1" * 5000 + '"]}') == {
        "a": [1, -(10**5000), 1.5, "1" * 5000]
    }
    assert sys.get_int_max_str_digits() == limit
    task = parse_task({"task_id": "t", "entry_point": "f", "tests": '[{"args": [1' + "0" * 5000 + '], "expected": 1}]'})
    assert task.tests[0].args == [{"$int": hex(10**5000)}]
    assert json.loads(json.dumps(task_to_row(task)))["tests"][0]["args"] == [{"$int": hex(10**5000)}]
