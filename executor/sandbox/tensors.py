"""Tensors as plain records: how they travel and lie in data sets, `{"$tensor": {"dtype", "shape", "data"}}`.

`data` lists the elements in row-major order: numbers, booleans, and `{"$float": ...}` for what JSON cannot say.
Standard library only: the same file runs inside the sandbox, and the trusted side needs no torch. It does not compare
(`executor.grading.compare` does) and makes no torch tensors (`executor.sandbox.torch_values` does, in the sandbox).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FLOAT_DTYPES = ("float16", "bfloat16", "float32", "float64")
INT_BITS = {"uint8": (0, 8), "int8": (-1, 7), "int16": (-1, 15), "int32": (-1, 31), "int64": (-1, 63)}
"""Whether they go below zero, and the bits of the largest value."""
DTYPES = (*FLOAT_DTYPES, *INT_BITS, "bool")
MAX_ELEMENTS = 100_000
MAX_RANK = 8
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True, slots=True)
class TensorValue:
    """A tensor without torch: `data` in row-major order, `shape` as of torch, `dtype` without `torch.`."""

    dtype: str
    shape: tuple[int, ...]
    data: tuple[Any, ...]


def encode_tensor(tensor: TensorValue) -> dict[str, Any]:
    """Write a tensor as JSON can say it."""
    data = list(tensor.data)
    if tensor.dtype in FLOAT_DTYPES:
        data = [item if item - item == 0.0 else _named(item) for item in data]
    return {"$tensor": {"dtype": tensor.dtype, "shape": list(tensor.shape), "data": data}}


def decode_tensor(content: Any) -> TensorValue:
    """Read what `encode_tensor` wrote, from anywhere.

    Raises:
        ValueError: one line on what is malformed: keys, dtype, shape, number of elements, or an element.
    """
    if type(content) is not dict or sorted(content) != ["data", "dtype", "shape"]:
        raise ValueError('$tensor takes {"dtype": ..., "shape": [...], "data": [...]}')
    dtype, shape, data = content["dtype"], content["shape"], content["data"]
    if dtype not in DTYPES:
        raise ValueError(f"$tensor: dtype must be one of {', '.join(DTYPES)}, not {dtype!r:.40}")
    if type(shape) is not list or len(shape) > MAX_RANK or any(type(size) is not int or size < 0 for size in shape):
        raise ValueError(f"$tensor: shape must be a list of at most {MAX_RANK} sizes, not {shape!r:.60}")
    if type(data) is not list or len(data) != math.prod(shape):
        raise ValueError(f"$tensor: data must be a list of the {math.prod(shape)} elements of shape {shape}")
    if len(data) > MAX_ELEMENTS:
        raise ValueError(f"$tensor: {len(data)} elements; {MAX_ELEMENTS} are allowed")
    return TensorValue(dtype, tuple(shape), _elements(dtype, data))


def _elements(dtype: str, data: Sequence[Any]) -> tuple[Any, ...]:
    if dtype in FLOAT_DTYPES:
        return tuple(_float(item) for item in data)
    wanted = bool if dtype == "bool" else int
    if any(type(item) is not wanted for item in data):
        raise ValueError(f"$tensor: an element of a {dtype} tensor is not of type {wanted.__name__}")
    if dtype in INT_BITS:
        sign, bits = INT_BITS[dtype]
        if any(not sign << bits <= item < 1 << bits for item in data):
            raise ValueError(f"$tensor: an element is beyond {dtype}")
    return tuple(data)


def _float(item: Any) -> float:
    if type(item) is float or type(item) is int:
        try:
            return float(item)
        except OverflowError:
            raise ValueError("$tensor: an integer beyond the floats in a tensor of floats") from None
    if type(item) is dict and list(item) == ["$float"] and item["$float"] in tuple(_FLOATS):
        return _FLOATS[item["$float"]]
    raise ValueError(f"$tensor: {item!r:.40} is no element of a tensor of floats")


def _named(item: float) -> dict[str, str]:
    return {"$float": "nan" if item != item else "inf" if item > 0 else "-inf"}
