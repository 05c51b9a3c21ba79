"""Forward passes over packed rows: attention masks, and what is computed from the logits of predicted tokens.

SFT, log-probabilities and the RL loss all run through `packed_forward`.

Shapes: `R` rows, `T` tokens of a row, `M` predicted tokens, `V` vocabulary. Position t of a row predicts token t + 1.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from datamodules.batches import RolloutBatch, SFTBatch
from datamodules.encoding.prefix_packing import PackedCompletions

CUDA_WIDTH_MULTIPLE = 64
"""On CUDA, rows are padded to a multiple of this: attention needs masks whose rows are aligned to 8 elements and would
copy the mask in every layer, and fewer widths fragment memory less."""
LogitsFn = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""Maps logits [m, V] and predicted tokens [m] of a chunk of the M positions to tensors of first dimension m (or 1)."""


def packed_forward(
    forward: Callable[..., Any],
    rows: SFTBatch | RolloutBatch | PackedCompletions,
    predicted: Tensor,
    logits_fn: LogitsFn | None,
    *,
    flex: bool,
) -> Any:
    """Run a model over packed rows and evaluate its output layer at some positions only.

    Args:
        forward: `Policy` or `ReferencePolicy.forward`.
        rows: `R` packed rows on the device of the model.
        predicted: [R, T-1] bool, True at the positions whose next token is of interest; `M` in all, row by row.
        logits_fn: Computes the wanted tensors from logits, chunk by chunk; None if `forward` computes no logits.
        flex: Whether the model uses flex attention.

    Returns:
        What `forward` returns: the outputs of `logits_fn`, concatenated over all M positions, and values [M] if it is a
        `Policy`.
    """
    branch_ids = None if isinstance(rows, SFTBatch) else rows.branch_ids
    targets = rows.input_ids[:, 1:][predicted]
    width = rows.input_ids.shape[1]
    is_cuda = rows.input_ids.device.type == "cuda"
    padding = (0, -width % CUDA_WIDTH_MULTIPLE if is_cuda else 0)
    segment_ids = functional.pad(rows.segment_ids, padding)
    mask = packed_mask(segment_ids, None if branch_ids is None else functional.pad(branch_ids, padding), flex=flex)
    if is_cuda and not flex:
        mask = to_additive_mask(mask)

    def of_chunk(logits: Tensor, chunk: slice) -> tuple[Tensor, ...]:
        assert logits_fn is not None
        return logits_fn(logits, targets[chunk])

    return forward(
        functional.pad(rows.input_ids, padding),
        mask,
        functional.pad(rows.position_ids, padding),
        functional.pad(predicted, (0, 1 + padding[1])),
        of_chunk,
    )


def packed_mask(segment_ids: Tensor, branch_ids: Tensor | None = None, *, flex: bool) -> Any:
    """Build the attention mask of packed rows.

    Args:
        segment_ids: [R, T] long.
        branch_ids: [R, T] long, or None.
        flex: For flex attention, which skips blocks of 128 x 128 in which no pair may attend.

    Returns:
        `block_causal_mask`, or the equivalent `BlockMask`.
    """
    if not flex:
        return block_causal_mask(segment_ids, branch_ids)
    from torch.nn.attention.flex_attention import create_block_mask

    def may_attend(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        allowed = (segment_ids[row, query] == segment_ids[row, key]) & (query >= key)
        if branch_ids is None:
            return allowed
        return allowed & ((branch_ids[row, key] == 0) | (branch_ids[row, key] == branch_ids[row, query]))

    num_rows, length = segment_ids.shape
    return create_block_mask(may_attend, num_rows, None, length, length, device=segment_ids.device)


def to_additive_mask(allowed: Tensor) -> Tensor:
    """Turn a mask of booleans into one of 0 and -inf in the type of attention, once for all layers.

    Attention on CUDA adds masks, and would otherwise convert this one in every layer and keep each result for the
    backward pass.
    """
    autocast = torch.is_autocast_enabled("cuda")
    dtype = torch.get_autocast_dtype("cuda") if autocast else torch.get_default_dtype()
    return torch.zeros_like(allowed, dtype=dtype).masked_fill_(~allowed, -torch.inf)


def block_causal_mask(segment_ids: Tensor, branch_ids: Tensor | None = None) -> Tensor:
    """Build the mask of packed rows as a matrix.

    Padding (segment 0) attends to padding, so that every query has a key.

    Args:
        segment_ids: [R, T] long.
        branch_ids: [R, T] long, 0 = visible to the whole segment, else to the same branch only; None = no branches.

    Returns:
        [R, 1, T, T] bool, True where query t may attend to key s: same segment, s <= t, and a visible branch.
    """
    allowed = segment_ids[:, :, None] == segment_ids[:, None, :]
    if branch_ids is not None:
        allowed &= (branch_ids[:, None, :] == 0) | (branch_ids[:, :, None] == branch_ids[:, None, :])
    return allowed.tril().unsqueeze(1)
