"""The extended form of tagged values, used between a program and a check."""

import json
from collections import Counter, OrderedDict, defaultdict, namedtuple
from enum import IntEnum, StrEnum

import pytest

from executor.sandbox.codec import decode_value, encode_value
from executor.strict_json import parse_tagged

Point = namedtuple("Point", "x y")


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    LARGE = 3


class Sly(int):
    def __pos__(self):
        return 99

    def __int__(self):
        return 99

    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


def round_trip(value):
    text = json.dumps(encode_value(value, extended=True), allow_nan=False)
    return decode_value(parse_tagged(text, extended=True), extended=True)


@pytest.mark.parametrize(
    "value",
    [2j, 1.5 - 2j, complex(-0.0, float("inf")), frozenset({1, (2, 3)}), {frozenset({1})}, float, str, {"k": int}],
)
def test_extended_values_survive_a_round_trip(value):
    back = round_trip(value)
    assert (back, type(back)) == (value, type(value))
    with pytest.raises(TypeError):
        encode_value(value)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Counter("aab"), {"a": 2, "b": 1}),
        (defaultdict(list, {1: [2]}), {1: [2]}),
        (OrderedDict(a=1), {"a": 1}),
        (Point(1, 2), (1, 2)),
        ([Colour.RED, Size.LARGE], ["red", 3]),
        (Sly(7), 7),
    ],
)
def test_subclasses_are_encoded_as_builtin_values(value, plain):
    back = round_trip(value)
    assert type(back) is type(plain)
    assert repr(back) == repr(plain)


@pytest.mark.parametrize("value", [iter([1]), {}.keys(), b"x", range(3), object(), Point])
def test_extended_encode_of_other_types_raises_type_error(value):
    with pytest.raises(TypeError):
        encode_value(value, extended=True)


@pytest.mark.parametrize(
    "tagged",
    [
        {"$complex": [1.0]},
        {"$complex": [1.0, 2]},
        {"$complex": ["1", 2.0]},
        {"$type": "eval"},
        {"$type": ["int"]},
        {"$frozenset": {}},
        {"$frozenset": [[1]]},
    ],
)
def test_malformed_extended_tags_raise_value_error(tagged):
    with pytest.raises(ValueError, match=r"malformed|unhashable"):
        decode_value(tagged, extended=True)


@pytest.mark.parametrize("tagged", [{"$complex": [1.0, 2.0]}, {"$type": "int"}, {"$frozenset": []}])
def test_extended_tags_are_rejected_by_default(tagged):
    with pytest.raises(ValueError, match="malformed tag"):
        decode_value(tagged)
