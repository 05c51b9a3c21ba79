"""Clipping by norm, for sharded and whole parameters, fused optimizers and mixed precision alike.

Lightning's own clipping refuses a fused optimizer under bf16-mixed.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lightning_modules.models.sharding import full_tensor


def check_clipping(max_norm: float | None, algorithm: str | None) -> None:
    """Refuse what `clip_by_norm` cannot do.

    Raises:
        ValueError: the norm is negative, or clipping by value is asked for; one line.
    """
    if algorithm == "value":
        raise ValueError("trainer.gradient_clip_algorithm: value is not supported, use norm or leave it out")
    if max_norm is not None and not max_norm >= 0:
        raise ValueError(
            f"trainer.gradient_clip_val is {max_norm}: it must be above 0.0, or null or 0.0 for no clipping"
        )


def clip_by_norm(parameters: Iterable[nn.Parameter], max_norm: float | None) -> Tensor:
    """Scale the gradients so that their 2-norm over all parameters and ranks is at most `max_norm`.

    None and 0.0 leave them as they are, as in Lightning.

    Returns:
        The norm before, a scalar.
    """
    return full_tensor(torch.nn.utils.clip_grad_norm_(parameters, max_norm or math.inf))
