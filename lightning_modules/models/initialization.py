"""Initial weights: built on the CPU with its generator, whatever the default device is.

Lightning builds modules with the GPU as default device, whose generator draws other numbers. Nothing here moves a model
to a GPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def initialize_on_cpu(seed: int) -> Iterator[None]:
    """Build modules inside on the CPU, from `seed` alone; afterwards the generator has its former state.

    `torch.manual_seed` would seed the generators of the GPUs, too, and `torch.random.fork_rng` without a list of
    devices saves the state of every GPU, with a warning if there are several.
    """
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def cast_parameters(module: nn.Module, dtype: torch.dtype) -> None:
    """Convert the parameters of a module in place.

    Buffers keep their type, as in `from_pretrained(dtype=...)`: rotary frequencies in bfloat16 have a relative error of
    up to 0.4 %, an angle of 0.2 rad at position 500.
    """
    for parameter in module.parameters():
        parameter.data = parameter.data.to(dtype)
