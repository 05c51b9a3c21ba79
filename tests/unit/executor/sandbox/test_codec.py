import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.sandbox.codec import (
    MAX_DEPTH,
    MAX_INT_BITS,
    MAX_NODES,
    decode_value,
    encode_value,
    parse_json,
    parse_tagged,
)

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


@pytest.mark.parametrize("form", ['{"$set":[%s]}', '{"$dict":[%s]}', '[{"$frozenset":[%s]}]'])
def test_parse_tagged_rejects_hash_collisions_quickly(form):
    items = [str(i * MERSENNE) for i in range(43_868)]
    if "dict" in form:
        items = [f"[{item},0]" for item in items]
    text = form % ",".join(items)
    assert len(text) > 1_000_000
    began = time.process_time()
    with pytest.raises(ValueError, match="have the same hash"):
        parse_tagged(text, extended=True)
    assert time.process_time() - began < 1.0


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


def test_largest_integer_survives_json():
    assert parse_json(json.dumps((1 << MAX_INT_BITS) - 1)) == (1 << MAX_INT_BITS) - 1


@pytest.mark.parametrize(
    "text",
    [
        '{"$tuple": 1}',
        '{"$tuple": [1], "x": 2}',
        '{"$set": [[1]]}',
        '{"$set": [{"a": 1}]}',
        '{"$dict": [[1]]}',
        '{"$dict": {"a": 1}}',
        '{"$dict": [[[1], 2]]}',
        '{"$float": "1.0"}',
        '{"$float": NaN}',
        '{"$frozenset": []}',
        '{"\\u0024set": [[1]]}',
        "[" * 70 + "]" * 70,
        "[" * 100_000,
        '{"a":' * 900 + '{"$x":1}' + "}" * 900,
        "1" * 5000,
        "NaN",
        "[Infinity]",
        "",
        "[1,]",
    ],
)
def test_parse_tagged_malformed_text_raises_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011  # the messages differ
        parse_tagged(text)


def test_decode_value_makes_new_objects():
    tagged = {"$tuple": [[1], {"a": [2]}]}
    first, second = decode_value(tagged), decode_value(tagged)
    first[0].append(9)
    first[1]["a"].append(9)
    assert second == ([1], {"a": [2]})
    assert tagged == {"$tuple": [[1], {"a": [2]}]}


@pytest.mark.parametrize("text", ["1e999", "-1e999", '{"$set": [1e400]}'])
def test_parse_tagged_number_beyond_float_raises_value_error(text):
    with pytest.raises(ValueError, match="range of float"):
        parse_tagged(text)
