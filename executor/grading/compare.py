"""Compare what a program returned with what was expected, on the trusted side. Nothing here runs in a sandbox.

The rules: types are exact (bool is never int); an expected list accepts a returned tuple, an expected tuple only a
tuple; NaN equals NaN; without a tolerance floats compare exactly and int never equals float; with one, a number
equals an expected number within it, relative or absolute, unless both are ints.

Tensors: dtype and shape are exact; integers and booleans are equal element by element; floats, as Python's doubles,
are within `atol + rtol * |expected|` of their dtype (`TENSOR_TOLERANCES`; a given tolerance takes the place of both),
NaN where NaN is expected and the same infinity where one is.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

from executor.sandbox.codec import reject_hash_collisions
from executor.sandbox.tensors import TensorValue

_NUMBERS = (int, float)
TENSOR_TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1e-4, 1e-5),
    "float64": (1e-7, 1e-7),
}
"""`(rtol, atol)` by dtype: those of `torch.testing.assert_close`, but for float32 a wider rtol (there 1.3e-6): a right
program may add up in another order, and differences of what nearly cancels keep few digits."""


def values_equal(actual: Any, expected: Any, *, float_tol: float | None = None) -> bool:
    """Whether a returned value is the expected one; both are plain Python values made by `decode_value`.

    Args:
        actual: what the program returned.
        expected: what the test wants.
        float_tol: both the relative and the absolute tolerance of numbers, or None for exact.
    """
    kind = type(expected)
    if kind is list or kind is tuple:
        if type(actual) is not kind and not (kind is list and type(actual) is tuple):
            return False
        return len(actual) == len(expected) and all(
            values_equal(left, right, float_tol=float_tol) for left, right in zip(actual, expected, strict=True)
        )
    if kind in _NUMBERS:
        return _numbers_equal(actual, expected, float_tol)
    if type(actual) is not kind:
        return False
    if kind is dict:
        return _dicts_equal(actual, expected, float_tol)
    if kind is set:
        return _sets_equal(actual, expected, float_tol)
    if kind is TensorValue:
        return tensors_equal(actual, expected, float_tol=float_tol)
    return actual == expected


def tensors_equal(actual: TensorValue, expected: TensorValue, *, float_tol: float | None = None) -> bool:
    """Whether a tensor is the expected one, within the tolerance of its dtype."""
    if actual.dtype != expected.dtype or actual.shape != expected.shape:
        return False
    if expected.dtype not in TENSOR_TOLERANCES:
        return actual.data == expected.data
    rtol, atol = TENSOR_TOLERANCES[expected.dtype] if float_tol is None else (float_tol, float_tol)
    return all(_near(left, right, rtol, atol) for left, right in zip(actual.data, expected.data, strict=True))


def _near(actual: float, expected: float, rtol: float, atol: float) -> bool:
    if actual == expected or (actual != actual and expected != expected):
        return True
    return math.isfinite(expected) and abs(actual - expected) <= atol + rtol * abs(expected)


def _numbers_equal(actual: Any, expected: float, float_tol: float | None) -> bool:
    if type(actual) is type(expected):
        if actual == expected or (actual != actual and expected != expected):
            return True
        if type(expected) is int:
            return False
    if float_tol is None or type(actual) not in _NUMBERS:
        return False
    try:
        return math.isclose(actual, expected, rel_tol=float_tol, abs_tol=float_tol)
    except OverflowError:  # an int beyond the floats
        return False


def _key(value: Any) -> Any:
    """Make a hashable stand-in that tells 1, 1.0 and True apart and takes every NaN for one."""
    if type(value) is tuple:
        return ("tuple", tuple(_key(item) for item in value))
    return (type(value).__name__, "nan" if value != value else value)


def _keys(items: Iterable[Any]) -> list[Any] | None:
    """Make the stand-ins of what a program returned, or None where looking them up would cost too much.

    `decode_value` has counted the items themselves; stand-ins have hashes of their own.
    """
    keys = [_key(item) for item in items]
    try:
        reject_hash_collisions(keys)
    except ValueError:
        return None
    return keys


def _dicts_equal(actual: dict, expected: dict, float_tol: float | None) -> bool:
    if len(actual) != len(expected) or (keys := _keys(actual)) is None:
        return False
    by_key = dict(zip(keys, actual.values(), strict=True))
    for key, wanted in expected.items():
        marker = _key(key)
        if marker not in by_key or not values_equal(by_key[marker], wanted, float_tol=float_tol):
            return False
    return True


def _sets_equal(actual: set, expected: set, float_tol: float | None) -> bool:
    if len(actual) != len(expected) or (keys := _keys(actual)) is None:
        return False
    if Counter(keys) == Counter(map(_key, expected)):
        return True
    if float_tol is None:
        return False
    left_over = list(actual)
    for wanted in expected:
        near = next((i for i, item in enumerate(left_over) if values_equal(item, wanted, float_tol=float_tol)), None)
        if near is None:
            return False
        left_over.pop(near)
    return True
