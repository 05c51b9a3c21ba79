"""Clipping by norm, for sharded and whole parameters, fused optimizers and mixed precision alike.

Lightning's own clipping refuses a fused optimizer under bf16-mixed.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lightning_modules.sharding import full_tensor


def clip_by_norm(parameters: Iterable[nn.Parameter], max_norm: float | None, algorithm: str | None = None) -> Tensor:
    """Scale the gradients so that their 2-norm over all parameters and ranks is at most `max_norm` (None = any).

    Returns:
        The norm before, a scalar.

    Raises:
        ValueError: the trainer asks for clipping by value.
    """
    if algorithm == "value":
        raise ValueError("trainer.gradient_clip_algorithm: value is not supported, use norm or leave it out")
    return full_tensor(torch.nn.utils.clip_grad_norm_(parameters, math.inf if max_norm is None else max_norm))
