"""Integers of any length, tagged values and literals."""

import json
import sys

import pytest

from executor.convert.json_values import (
    format_big_int,
    parse_big_int,
    parse_json,
    parse_literal,
    tag_value,
    write_json,
)
from executor.sandbox.codec import decode_value

SEVENS = 7 * (10**9001 - 1) // 9  # 9001 digits


@pytest.mark.parametrize("num_digits", [1, 3999, 4000, 4001, 4300, 4301, 9001, 50_000])
def test_big_integers_in_and_out(num_digits):
    digits = ("1234567890" * 5001)[:num_digits]
    value = sum(int(digit) * 10**place for place, digit in enumerate(reversed(digits)) if num_digits < 5000)
    if num_digits < 5000:
        assert parse_big_int(digits) == value
    assert format_big_int(parse_big_int(digits)) == digits
    assert format_big_int(parse_big_int("-" + digits)) == "-" + digits


def test_zeros_in_the_middle_are_kept():
    assert format_big_int(10**9000 + 5) == "1" + "0" * 8999 + "5"
    assert parse_big_int("1" + "0" * 8999 + "5") == 10**9000 + 5


def test_json_with_big_integers_leaves_the_limit_of_the_interpreter():
    limit = sys.get_int_max_str_digits()
    value = {"a": [SEVENS, -SEVENS, {"b": SEVENS}], "text": "7" * 9001, "small": 3}
    text = write_json(value)
    assert text == (
        f'{{"a": [{"7" * 9001}, -{"7" * 9001}, {{"b": {"7" * 9001}}}], "text": "{"7" * 9001}", "small": 3}}'
    )
    assert parse_json(text) == value
    assert sys.get_int_max_str_digits() == limit
    with pytest.raises(ValueError, match="limit"):
        json.loads(text)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "'a'", "[" * 100_000, f"[{'7' * 9001}, " + "[" * 100_000])
def test_what_is_not_json(text):
    with pytest.raises(ValueError, match="."):
        parse_json(text)


def test_literals():
    assert parse_literal("{'a': (1, None, True), 'b': [1.5]}") == {"a": (1, None, True), "b": [1.5]}
    assert parse_literal("[true, null]") == [True, None]
    for text in ("f(1)", "[1", "lambda: 0", "{[]: 1}", "a"):
        with pytest.raises(ValueError, match="neither JSON nor a Python literal"):
            parse_literal(text)


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, "x", None, True]},
        {1: "a", (2, 3): "b"},
        {"$a": 1},
        (1, (2,)),
        {1, 2},
        {"a": {"b": (1, [float("inf"), float("-inf")])}},
    ],
)
def test_tagged_values_decode_to_the_same(value):
    assert decode_value(json.loads(json.dumps(tag_value(value)))) == value


def test_values_that_have_no_tag():
    with pytest.raises(ValueError, match="type bytes"):
        tag_value([b"x"])
    deep = 1
    for _ in range(65):
        deep = [deep]
    with pytest.raises(ValueError, match="deeper than 64 levels"):
        tag_value(deep)
