"""Compare what a program returned or printed with what was expected, on the trusted side; never in a sandbox.

Values: types are exact (bool is never int); an expected list accepts a returned tuple, an expected tuple only a
tuple; NaN equals NaN; without a tolerance floats compare exactly and int never equals float; with one, a number
equals an expected number within it, relative or absolute, unless both are ints. That holds for elements of sets and
keys of dicts too.

Standard output: lines are equal up to trailing white space, and trailing empty lines are ignored. With a tolerance, a
line is its tokens between white space, and two tokens that are decimal numbers compare within it, unless both are
integers; all other tokens compare as text.

Tensors: dtype and shape are exact; integers and booleans are equal element by element; floats, as Python's doubles,
are within `atol + rtol * |expected|` of their dtype (`TENSOR_TOLERANCES`; a given tolerance takes the place of both),
NaN where NaN is expected and the same infinity where one is.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from executor.sandbox.codec import reject_hash_collisions
from executor.sandbox.nodes import NodeValue
from executor.sandbox.tensors import TensorValue

_NUMBERS = (int, float)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_MAX_SHOWN_CHARS = 80
MAX_MATCHING_STEPS = 1_000_000
"""Numbers compared in search of a pairing within a tolerance, in one set or among the keys of one dict. Beyond it, sets
and dicts are unequal: a program controls the result, and the search takes quadratic time."""
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
    if kind is NodeValue:
        return actual.tag == expected.tag and values_equal(actual.values, expected.values, float_tol=float_tol)
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
    markers = [_key(key) for key in expected]
    if all(marker in by_key for marker in markers):
        pairs = [(by_key[marker], wanted) for marker, wanted in zip(markers, expected.values(), strict=True)]
    elif float_tol is not None and (matched := _match(list(actual), list(expected), float_tol)) is not None:
        pairs = [(actual[key], expected[wanted]) for key, wanted in matched]
    else:
        return False
    return all(values_equal(value, wanted, float_tol=float_tol) for value, wanted in pairs)


def _sets_equal(actual: set, expected: set, float_tol: float | None) -> bool:
    if len(actual) != len(expected) or (keys := _keys(actual)) is None:
        return False
    if Counter(keys) == Counter(map(_key, expected)):
        return True
    return float_tol is not None and _match(list(actual), list(expected), float_tol) is not None


def _match(actual: list, expected: list, float_tol: float) -> list[tuple[Any, Any]] | None:
    """Pair each expected element with one returned element that equals it within a tolerance; None where it fails.

    Elements differ from each other only in their numbers where they can be equal at all, so those of equal form are
    sorted by their numbers and paired in this order. For single numbers that finds a pairing wherever there is one. For
    tuples the nearest free element is searched in `MAX_MATCHING_STEPS` steps.
    """
    forms: dict[Any, tuple[list, list]] = defaultdict(lambda: ([], []))
    for side, items in enumerate((actual, expected)):
        for item in items:
            numbers: list[float] = []
            forms[_form(item, numbers)][side].append((numbers, item))
    pairs = []
    budget = [MAX_MATCHING_STEPS]
    for returned, wanted in forms.values():
        if len(returned) != len(wanted):
            return None
        returned.sort(key=lambda entry: entry[0])
        wanted.sort(key=lambda entry: entry[0])
        found = _pair_in_order(returned, wanted, float_tol)
        if found is None and len(returned[0][0]) > 1:
            found = _pair_by_search(returned, wanted, float_tol, budget)
        if found is None:
            return None
        pairs += found
    return pairs


def _form(value: Any, numbers: list[float]) -> Any:
    """Return what must be equal exactly in an element of a set; append the numbers, which need not be."""
    if type(value) is tuple:
        return ("tuple", *[_form(item, numbers) for item in value])
    if type(value) in _NUMBERS and value == value:
        numbers.append(value)
        return "number"
    return _key(value)


def _pair_in_order(returned: list, wanted: list, float_tol: float) -> list[tuple[Any, Any]] | None:
    pairs = [(item, goal) for (_, item), (_, goal) in zip(returned, wanted, strict=True)]
    return pairs if all(values_equal(item, goal, float_tol=float_tol) for item, goal in pairs) else None


def _pair_by_search(returned: list, wanted: list, float_tol: float, budget: list[int]) -> list[tuple[Any, Any]] | None:
    pairs, free = [], list(returned)
    for numbers, goal in wanted:
        for index, (_, item) in enumerate(free):
            budget[0] -= len(numbers)
            if budget[0] < 0:
                return None
            if values_equal(item, goal, float_tol=float_tol):
                pairs.append((item, goal))
                del free[index]
                break
        else:
            return None
    return pairs


def stdout_equal(actual: bytes, expected: str, *, float_tol: float | None = None) -> bool:
    """Whether standard output is the expected one, in time linear in both.

    Args:
        actual: what the program printed; output that is not UTF-8 equals nothing.
        expected: what the test wants.
        float_tol: both the relative and the absolute tolerance of decimal numbers, or None for exact text.
    """
    lines = _split_lines(actual)
    return lines is not None and _first_difference(lines, _split_lines(expected) or [], float_tol) is None


def describe_stdout_difference(actual: bytes, expected: str, *, float_tol: float | None = None) -> str:
    """Name the first line in which standard output differs, in at most 200 characters; empty where it is equal."""
    lines, wanted_lines = _split_lines(actual), _split_lines(expected) or []
    if lines is None:
        return "the output is not UTF-8"
    number = _first_difference(lines, wanted_lines, float_tol)
    if number is None:
        return ""
    if number >= len(lines):
        return f"line {number + 1}: the output ends; expected {_show_line(wanted_lines[number], 0)}"
    if number >= len(wanted_lines):
        return f"line {number + 1}: {_show_line(lines[number], 0)} after the end of the expected output"
    line, wanted = lines[number], wanted_lines[number]
    same = next(
        (i for i, (one, other) in enumerate(zip(line, wanted, strict=False)) if one != other),
        min(len(line), len(wanted)),
    )
    return f"line {number + 1}: {_show_line(line, same)}; expected {_show_line(wanted, same)}"


def _split_lines(text: bytes | str) -> list[str] | None:
    """Split text into lines without trailing white space and empty lines; None for bytes that are not UTF-8."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError:
            return None
    text = text.rstrip()
    return [line.rstrip() for line in text.split("\n")] if text else []


def _first_difference(lines: Sequence[str], wanted: Sequence[str], float_tol: float | None) -> int | None:
    """Find the first line, counted from 0, in which two outputs differ."""
    for number, (line, goal) in enumerate(zip_longest(lines, wanted)):
        if line == goal:
            continue
        if (
            line is None
            or goal is None
            or float_tol is None
            or not _tokens_equal(line.split(), goal.split(), float_tol)
        ):
            return number
    return None


def _tokens_equal(tokens: list[str], wanted: list[str], float_tol: float) -> bool:
    return len(tokens) == len(wanted) and all(
        token == goal or _decimals_equal(token, goal, float_tol) for token, goal in zip(tokens, wanted, strict=True)
    )


def _decimals_equal(token: str, wanted: str, float_tol: float) -> bool:
    """Whether two tokens are decimal numbers within a tolerance. Integers are compared as text: they may be long."""
    if _INTEGER.fullmatch(token) and _INTEGER.fullmatch(wanted):
        return _split_sign(token) == _split_sign(wanted)
    if not (_DECIMAL.fullmatch(token) and _DECIMAL.fullmatch(wanted)):
        return False
    number, goal = float(token), float(wanted)
    finite = math.isfinite(number) and math.isfinite(goal)  # beyond the floats, only equal text is equal
    return finite and math.isclose(number, goal, rel_tol=float_tol, abs_tol=float_tol)


def _split_sign(integer: str) -> tuple[bool, str]:
    """Split the text of an integer into whether it is negative, and its digits without leading zeros."""
    digits = integer.lstrip("+-").lstrip("0")
    return integer.startswith("-") and digits != "", digits


def _show_line(line: str, same: int) -> str:
    """Quote the part of a line around the first difference, `same` characters from its start."""
    start = max(0, same - 20)
    text = repr(("..." if start else "") + line[start : start + _MAX_SHOWN_CHARS])
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 4]}...'"
