"""JSON with integers of any length, tagged values and literals."""

import json
import sys

import pytest

from executor.convert.json_values import parse_json, parse_literal, tag_value
from executor.sandbox.codec import decode_value


def test_json_with_big_integers_leaves_the_limit_of_the_interpreter():
    limit = sys.get_int_max_str_digits()
    sevens = 7 * (10**9001 - 1) // 9
    text = f'{{"a": [{"7" * 9001}, -{"7" * 9001}], "nan": NaN, "text": "{"7" * 9001}", "small": 3}}'
    value = parse_json(text)
    assert value["a"] == [sevens, -sevens]
    assert (value["text"], value["small"]) == ("7" * 9001, 3)
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
