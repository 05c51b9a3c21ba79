import json
from collections import Counter, OrderedDict, defaultdict, namedtuple
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.sandbox.codec import (
    MAX_DEPTH,
    MAX_INT_BITS,
    MAX_NODES,
    MAX_PLAIN_INT_BITS,
    decode_value,
    encode_value,
)
from executor.sandbox.nodes import NodeValue
from executor.strict_json import parse_json

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
hashables = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashables, inner, max_size=3)
        | st.sets(hashables, max_size=3)
    ),
    max_leaves=12,
)


@given(values)
def test_decode_inverts_encode_through_json(value):
    text = json.dumps(encode_value(value), allow_nan=False)
    back = decode_value(parse_json(text))
    assert back == value
    assert repr(type(back)) == repr(type(value))


def test_encode_value_forms():
    assert encode_value([1, 1.5, "x", True, None]) == [1, 1.5, "x", True, None]
    assert encode_value((1, [2])) == {"$tuple": [1, [2]]}
    assert encode_value({3, 1, 10}) == {"$set": [1, 3, 10]}
    assert encode_value({"a": 1}) == {"a": 1}
    assert encode_value({1: "a"}) == {"$dict": [[1, "a"]]}
    assert encode_value({"$a": 1}) == {"$dict": [["$a", 1]]}
    assert [encode_value(float(text)) for text in ("nan", "inf", "-inf")] == [
        {"$float": "nan"},
        {"$float": "inf"},
        {"$float": "-inf"},
    ]


def test_encode_set_is_independent_of_insertion_order():
    one, other = {8, 0, "b", "a", (1, 2)}, set()
    for item in ((1, 2), "a", "b", 0, 8):
        other.add(item)
    assert json.dumps(encode_value(one)) == json.dumps(encode_value(other))


MERSENNE = 2**61 - 1
"""The hash of an integer is its remainder modulo this number."""


def test_hash_collisions_count_distinct_elements():
    powers = {2**i for i in range(61 * 64)}  # 2**61 leaves the remainder 1: 64 of each hash
    assert decode_value(encode_value(powers)) == powers
    with pytest.raises(ValueError, match="more than 64 elements"):
        decode_value(encode_value(powers | {2 ** (61 * 64)}))
    nans = {float("nan") for _ in range(1000)}  # distinct objects, so distinct hashes
    assert len(decode_value(encode_value(nans))) == 1
    assert decode_value({"$set": [7] * 1000}) == {7}


class Sly(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


@pytest.mark.parametrize("value", [Sly(1), b"x", object(), 1j, range(3), (i for i in ()), [Sly(2)], {Sly(3): 1}])
def test_encode_foreign_type_raises_type_error(value):
    with pytest.raises(TypeError):
        encode_value(value)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def doubled(times):
    value = [0]
    for _ in range(times):
        value = [value, value]
    return value


def test_encode_beyond_a_limit_raises_value_error():
    cycle = []
    cycle.append(cycle)
    encode_value(1 << MAX_INT_BITS - 1)
    encode_value(nested(MAX_DEPTH - 1))
    for value in (1 << MAX_INT_BITS, nested(MAX_DEPTH), doubled(40), cycle, [0] * (MAX_NODES + 1)):
        with pytest.raises(ValueError, match="integer|deeper"):
            encode_value(value)


@pytest.mark.parametrize("bits", [MAX_PLAIN_INT_BITS, MAX_PLAIN_INT_BITS + 1, MAX_INT_BITS])
@pytest.mark.parametrize("sign", [1, -1])
def test_long_integers_survive_json_without_decimal_digits(bits, sign):
    value = sign * ((1 << bits) - 1)
    text = json.dumps([encode_value(value)])
    assert ("$int" in text) is (bits > MAX_PLAIN_INT_BITS)
    assert decode_value(parse_json(text)) == [value]


@pytest.mark.parametrize("text", ["0X1", "1f", "0x", "0x1 ", "--0x1", "0x_1", "0x" + "f" * (MAX_INT_BITS // 4 + 2), 5])
def test_malformed_long_integers_raise_value_error(text):
    with pytest.raises(ValueError, match="malformed tag|an integer of more than"):
        decode_value({"$int": text})


class Named(namedtuple("Base", "x")):
    pass


class Typed(NamedTuple):
    x: int
    y: str = "b"

    def total(self):
        return self.x


Overriding = type("Overriding", (tuple,), {"_fields": ("x",), "__getitem__": lambda *_: 9})
Equal = type("Equal", (tuple,), {"_fields": ("x",), "__eq__": lambda *_: True, "__hash__": tuple.__hash__})
FieldsOfAnotherLength = type("FieldsOfAnotherLength", (tuple,), {"_fields": ("x", "y")})
Meta = type("Meta", (type,), {})


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict([("b", 1), ("a", 2)]), {"b": 1, "a": 2}),
        (defaultdict(list, {1: [Typed(1)]}), {1: [(1, "b")]}),
        (namedtuple("P", "x y")(1, 2), (1, 2)),
        (Typed(3), (3, "b")),
    ],
)
def test_named_tuples_and_dicts_of_collections_are_plain_values(value, plain):
    decoded = decode_value(json.loads(json.dumps(encode_value(value))))
    assert (decoded, type(decoded)) == (plain, type(plain))


@pytest.mark.parametrize(
    "value",
    [
        Named(1),
        Overriding([1]),
        Equal([1]),
        FieldsOfAnotherLength([1]),
        Meta("M", (tuple,), {"_fields": ("x",)})([1]),
        type("C", (Counter,), {})("a"),
        type("D", (dict,), {})(a=1),
        type("T", (tuple,), {})([1]),
    ],
)
def test_other_subclasses_have_no_tagged_form(value):
    with pytest.raises(TypeError):
        encode_value(value)


def test_patched_method_of_counter_is_not_called(monkeypatch):
    monkeypatch.setattr(Counter, "__iter__", lambda self: iter(["x"]), raising=False)
    monkeypatch.setattr(Counter, "keys", lambda self: ["x"], raising=False)
    monkeypatch.setattr(Counter, "__getitem__", lambda self, key: 9, raising=False)
    assert encode_value(Counter("aab")) == {"a": 2, "b": 1}


@pytest.mark.parametrize("record", [NodeValue("$tree", (1, None, 2)), NodeValue("$list", (1, "a", 2.5, True))])
def test_nodes_survive_json(record):
    assert decode_value(parse_json(json.dumps(encode_value([record])))) == [record]


def test_empty_nodes_are_none_and_nodes_are_unhashable():
    assert decode_value([{"$tree": []}, {"$list": []}]) == [None, None]
    with pytest.raises(ValueError, match="unhashable"):
        decode_value({"$set": [{"$tree": [1]}]})


def test_decode_value_makes_new_objects():
    tagged = {"$tuple": [[1], {"a": [2]}]}
    first, second = decode_value(tagged), decode_value(tagged)
    first[0].append(9)
    first[1]["a"].append(9)
    assert second == ([1], {"a": [2]})
    assert tagged == {"$tuple": [[1], {"a": [2]}]}
