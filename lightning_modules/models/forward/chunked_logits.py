"""Functions of logits without all logits in memory: with a vocabulary of 150 000 they are larger than everything else.

Chunks are computed one after the other, and recomputed in the backward pass instead of being stored.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

LogitsFn = Callable[[Tensor, slice], tuple[Tensor, ...]]
"""Maps the logits [m, V] of a chunk, and its slice of the M positions, to tensors with first dimension m."""
MAX_CHUNK_LOGITS = 1 << 26
"""256 MiB in float32."""


def apply_to_chunked_logits(
    head: nn.Module, hidden: Tensor, logits_fn: LogitsFn, *, vocab_size: int
) -> tuple[Tensor, ...]:
    """Apply a function to the logits of hidden states, in chunks of at most `MAX_CHUNK_LOGITS` logits.

    Args:
        head: output layer, from [m, D] hidden states to [m, V] logits.
        hidden: [M, D] hidden states.
        logits_fn: applied to each chunk.
        vocab_size: V.

    Returns:
        The tensors of `logits_fn`, concatenated over the chunks.
    """
    num_rows = max(1, MAX_CHUNK_LOGITS // vocab_size)
    if len(hidden) <= num_rows:
        return logits_fn(head(hidden), slice(0, len(hidden)))

    def run_chunk(rows: Tensor, first: int) -> tuple[Tensor, ...]:
        return logits_fn(head(rows), slice(first, first + len(rows)))

    chunks = [
        checkpoint(run_chunk, hidden[first : first + num_rows], first, use_reentrant=False)
        for first in range(0, len(hidden), num_rows)
    ]
    return tuple(torch.cat(tensors) for tensors in zip(*chunks, strict=True))
