"""What is wanted of logits, without holding all of them: a vocabulary of 150 000 makes them larger than all else.

Parts are computed one after the other, and again in the backward pass, where they are no longer kept.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

LogitsFn = Callable[[Tensor, slice], tuple[Tensor, ...]]
"""From logits [m, V] of a part of M positions, and which part it is, to tensors with the part as first dimension."""
LOGITS_AT_ONCE = 1 << 26
"""256 MiB in float32."""


def apply_to_chunked_logits(
    head: nn.Module, hidden: Tensor, of_logits: LogitsFn, *, vocab_size: int
) -> tuple[Tensor, ...]:
    """Apply `of_logits` to the logits of hidden states, as many at once as may be held.

    Args:
        head: turns hidden states into logits.
        hidden: [M, D].
        of_logits: as its type says.
        vocab_size: V.

    Returns:
        What it gives, the parts behind one another.
    """
    num_rows = max(1, LOGITS_AT_ONCE // vocab_size)
    if len(hidden) <= num_rows:
        return of_logits(head(hidden), slice(0, len(hidden)))

    def of_part(rows: Tensor, first: int) -> tuple[Tensor, ...]:
        return of_logits(head(rows), slice(first, first + len(rows)))

    parts = [
        checkpoint(of_part, hidden[first : first + num_rows], first, use_reentrant=False)
        for first in range(0, len(hidden), num_rows)
    ]
    return tuple(torch.cat(pieces) for pieces in zip(*parts, strict=True))
