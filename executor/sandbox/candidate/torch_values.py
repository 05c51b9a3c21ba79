"""Convert between torch tensors and their plain records, in the candidate's process.

Only plain tensors are values: exactly `torch.Tensor`, dense, with elements in memory. Subclasses, parameters, and
sparse, quantised, complex or `meta` tensors are of a type that no test can hold.
"""

from typing import Any

import torch

from ..tensors import DTYPES, MAX_ELEMENTS, TensorValue

_DTYPES = {getattr(torch, name): name for name in DTYPES}
_TENSOR = torch.Tensor
_TOLIST = torch.Tensor.tolist
_MAKE = torch.tensor
_NO_GRAD = torch.no_grad
OUT_OF_MEMORY = torch.OutOfMemoryError
"""Raised for the memory of a GPU; for that of the CPU torch has no type."""


def to_torch(value: Any, device: str = "cpu") -> Any:
    """Replace records with fresh torch tensors, also within lists, tuples and dictionaries."""
    kind = type(value)
    if kind is TensorValue:
        dtype = getattr(torch, value.dtype)
        return _MAKE(list(value.data), dtype=dtype, device=device).reshape(value.shape)
    if kind is list or kind is tuple:
        return kind([to_torch(item, device) for item in value])
    if kind is dict:
        return {key: to_torch(item, device) for key, item in value.items()}
    return value


def from_torch(value: Any) -> Any:
    """Replace plain torch tensors with records, also within lists, tuples and dictionaries; keep all other values.

    Raises:
        TypeError: a tensor of a kind that no test can hold.
        ValueError: a tensor has more than `MAX_ELEMENTS` elements.
    """
    kind = type(value)
    if kind is _TENSOR:
        return _record(value)
    if kind is list or kind is tuple:
        return kind([from_torch(item) for item in value])
    if kind is dict:
        return {key: from_torch(item) for key, item in value.items()}
    return value


def _record(tensor: Any) -> TensorValue:
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta or tensor.dtype not in _DTYPES:
        raise TypeError(f"a {tensor.layout} tensor of {tensor.dtype} on {tensor.device}")
    if tensor.numel() > MAX_ELEMENTS:
        raise ValueError(f"{tensor.numel()} elements")
    with _NO_GRAD():
        data = _TOLIST(tensor.detach().cpu().reshape(-1))
    return TensorValue(_DTYPES[tensor.dtype], tuple(tensor.shape), tuple(data))
