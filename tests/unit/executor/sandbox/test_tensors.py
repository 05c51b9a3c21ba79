"""Tensors as records: their JSON form, and when two are equal. Tolerances are worked out by hand."""

import json
import math

import pytest

from executor.grading.compare import values_equal
from executor.sandbox.codec import decode_value, encode_value
from executor.sandbox.tensors import DTYPES, MAX_ELEMENTS, TensorValue, decode_tensor
from executor.strict_json import parse_tagged


def f32(*data: float, shape: tuple[int, ...] | None = None, dtype: str = "float32") -> TensorValue:
    return TensorValue(dtype, (len(data),) if shape is None else shape, data)


@pytest.mark.parametrize(
    "tensor",
    [
        f32(1.0, -2.5, 0.1),
        f32(math.inf, -math.inf, 3.0, dtype="bfloat16"),
        f32(2.0, shape=()),
        f32(shape=(0, 3)),
        TensorValue("int64", (2, 1), (-(2**63), 2**63 - 1)),
        TensorValue("uint8", (1,), (255,)),
        TensorValue("bool", (2,), (True, False)),
    ],
)
def test_tensor_survives_json(tensor: TensorValue) -> None:
    text = json.dumps(encode_value([tensor, {"k": (tensor,)}]), allow_nan=False)
    assert decode_value(parse_tagged(text)) == [tensor, {"k": (tensor,)}]


def test_encode_tensor_tags_nan() -> None:
    assert encode_value(f32(math.nan)) == {"$tensor": {"dtype": "float32", "shape": [1], "data": [{"$float": "nan"}]}}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ([1], r"\$tensor takes"),
        ({"dtype": "float32", "shape": [1]}, r"\$tensor takes"),
        ({"dtype": "float8", "shape": [1], "data": [1.0]}, "dtype must be one of float16"),
        ({"dtype": "float32", "shape": [-1], "data": []}, "shape must be a list of at most 8 sizes"),
        ({"dtype": "float32", "shape": [True], "data": [1.0]}, "shape must be"),
        ({"dtype": "float32", "shape": [1] * 9, "data": [1.0]}, "shape must be"),
        ({"dtype": "float32", "shape": [2, 2], "data": [1.0]}, r"the 4 elements of shape \[2, 2\]"),
        ({"dtype": "float32", "shape": [1], "data": ["1"]}, "not an element of a tensor of floats"),
        ({"dtype": "float32", "shape": [1], "data": [10**400]}, "range of float"),
        ({"dtype": "float32", "shape": [1], "data": [{"$float": "x"}]}, "not an element"),
        ({"dtype": "float32", "shape": [1], "data": [{"$float": []}]}, "not an element"),
        ({"dtype": "int8", "shape": [1], "data": [128]}, "range of int8"),
        ({"dtype": "uint8", "shape": [1], "data": [-1]}, "range of uint8"),
        ({"dtype": "int64", "shape": [1], "data": [1.0]}, "not of type int"),
        ({"dtype": "bool", "shape": [1], "data": [1]}, "not of type bool"),
        ({"dtype": [], "shape": [1], "data": [1]}, "dtype must be"),
        ({"dtype": "bool", "shape": [MAX_ELEMENTS + 1], "data": [True] * (MAX_ELEMENTS + 1)}, "are allowed"),
    ],
)
def test_decode_malformed_tensor_raises_value_error(content, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        decode_tensor(content)


def test_tensors_of_other_dtype_or_shape_differ() -> None:
    assert values_equal(f32(1.0, 2.0), f32(1.0, 2.0))
    assert not values_equal(f32(1.0, 2.0, dtype="float64"), f32(1.0, 2.0))
    assert not values_equal(f32(1.0, 2.0, shape=(2, 1)), f32(1.0, 2.0))
    assert not values_equal([1.0, 2.0], f32(1.0, 2.0))
    assert not values_equal(f32(1.0, 2.0), [1.0, 2.0])


@pytest.mark.parametrize(
    ("dtype", "expected", "inside", "outside"),
    [  # expected + atol + rtol * expected is the border
        ("float32", 1.0, 1.000109, 1.000111),
        ("float32", 0.0, 0.9e-5, 1.1e-5),
        ("float32", -100.0, -100.01, -100.0102),
        ("float64", 1.0, 1.00000019, 1.00000021),
        ("float16", 1.0, 1.00100, 1.00102),
        ("bfloat16", 1.0, 1.01600, 1.01602),
    ],
)
def test_float_tensors_are_equal_within_the_tolerance_of_their_dtype(dtype, expected, inside, outside) -> None:
    assert values_equal(f32(inside, dtype=dtype), f32(expected, dtype=dtype))
    assert not values_equal(f32(outside, dtype=dtype), f32(expected, dtype=dtype))


def test_float_tol_replaces_the_tolerance_of_the_dtype() -> None:
    assert values_equal(f32(1.1), f32(1.0), float_tol=0.06)
    assert not values_equal(f32(1.13), f32(1.0), float_tol=0.06)


def test_non_finite_elements_must_be_identical() -> None:
    nan, inf = math.nan, math.inf
    assert values_equal(f32(nan, inf, -inf), f32(nan, inf, -inf))
    for actual, expected in [(nan, 1.0), (1.0, nan), (inf, -inf), (1e38, inf), (inf, 1e38), (nan, inf)]:
        assert not values_equal(f32(actual), f32(expected))


def test_integer_and_boolean_tensors_compare_exactly() -> None:
    assert values_equal(TensorValue("int64", (2,), (1, 2)), TensorValue("int64", (2,), (1, 2)))
    assert not values_equal(TensorValue("int64", (2,), (1, 3)), TensorValue("int64", (2,), (1, 2)), float_tol=10.0)
    assert not values_equal(TensorValue("bool", (1,), (True,)), TensorValue("bool", (1,), (False,)))


def test_every_dtype_survives_a_round_trip() -> None:
    for dtype in DTYPES:
        one = TensorValue(dtype, (1,), (True if dtype == "bool" else 1,))
        assert values_equal(decode_value(encode_value(one)), one)
