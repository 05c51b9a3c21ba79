"""Plain records of tensors and their JSON form, `{"$tensor": {"dtype", "shape", "data"}}`.

`data` lists the elements in row-major order: numbers, booleans, and `{"$float": ...}` for floats that JSON lacks. No
torch is needed: `candidate.torch_values` converts to torch tensors, and `executor.grading.compare` compares.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FLOAT_DTYPES = ("float16", "bfloat16", "float32", "float64")
INT_BITS = {"uint8": (0, 8), "int8": (-1, 7), "int16": (-1, 15), "int32": (-1, 31), "int64": (-1, 63)}
"""-1 if the type is signed, else 0; and the number of bits of its largest value."""
DTYPES = (*FLOAT_DTYPES, *INT_BITS, "bool")
MAX_ELEMENTS = 100_000
MAX_RANK = 8
NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""Values of the tag `$float`."""


@dataclass(frozen=True, slots=True)
class TensorValue:
    """A tensor: `dtype` as torch names it without `torch.`, and `data` in row-major order."""

    dtype: str
    shape: tuple[int, ...]
    data: tuple[Any, ...]


def encode_non_finite(value: float) -> dict[str, str]:
    """Return the tagged form of NaN or an infinity."""
    return {"$float": "nan" if value != value else "inf" if value > 0 else "-inf"}


def encode_tensor(tensor: TensorValue) -> dict[str, Any]:
    """Return the JSON form of a tensor."""
    data = list(tensor.data)
    if tensor.dtype in FLOAT_DTYPES:
        data = [item if item - item == 0.0 else encode_non_finite(item) for item in data]
    return {"$tensor": {"dtype": tensor.dtype, "shape": list(tensor.shape), "data": data}}


def decode_tensor(content: Any) -> TensorValue:
    """Make a tensor of the content of a `$tensor` tag.

    Raises:
        ValueError: the keys, dtype, shape, number of elements or an element are malformed.
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
            raise ValueError(f"$tensor: an element exceeds the range of {dtype}")
    return tuple(data)


def _float(item: Any) -> float:
    if type(item) is float or type(item) is int:
        try:
            return float(item)
        except OverflowError:
            raise ValueError("$tensor: an integer exceeds the range of float") from None
    if type(item) is dict and list(item) == ["$float"] and item["$float"] in tuple(NON_FINITE):
        return NON_FINITE[item["$float"]]
    raise ValueError(f"$tensor: {item!r:.40} is not an element of a tensor of floats")
