"""Next-token loss of packed rows, on completion tokens alone.

Shapes: `R` rows, `T` tokens of a row, `D` hidden size, `V` vocabulary. Samples of a row do not see one another.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from datamodules.batches import SFTBatch
from lightning_modules.models.compute import uses_flex_attention
from lightning_modules.models.policy import Policy

IGNORE = -100


def block_causal_mask(segment_ids: Tensor, branch_ids: Tensor | None = None) -> Tensor:
    """Say who sees whom in packed rows.

    Padding (segment 0) attends to padding, so that no query is left without a key.

    Args:
        segment_ids: [R, T] long.
        branch_ids: [R, T] long, 0 = seen by the whole segment, else by its own branch alone; None = no branches.

    Returns:
        [R, 1, T, T] bool, True where query t may attend to key s: same segment, s <= t, and a branch it may see.
    """
    allowed = segment_ids[:, :, None] == segment_ids[:, None, :]
    if branch_ids is not None:
        allowed &= (branch_ids[:, None, :] == 0) | (branch_ids[:, :, None] == branch_ids[:, None, :])
    return allowed.tril().unsqueeze(1)


def packed_mask(segment_ids: Tensor, branch_ids: Tensor | None = None, *, flex: bool) -> Any:
    """Make the attention mask of packed rows as the model takes it.

    Args:
        segment_ids: [R, T] long.
        branch_ids: [R, T] long, or None.
        flex: for flex attention, which skips blocks of 128 x 128 without a pair that may attend.

    Returns:
        `block_causal_mask`, or the `BlockMask` that says the same.
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


def completion_loss(policy: Policy, batch: SFTBatch) -> tuple[Tensor, Tensor]:
    """Sum the cross-entropy of the labelled tokens; the output layer runs at the positions before them alone.

    Returns:
        The sum in nats (float32, scalar) and the number of labelled tokens (long, scalar).
    """
    targets = batch.labels[:, 1:]
    predicted = targets != IGNORE
    mask = packed_mask(batch.segment_ids, flex=uses_flex_attention(policy.causal_lm))
    labels = targets[predicted]

    def of_logits(logits: Tensor, part: slice) -> tuple[Tensor]:
        return (functional.cross_entropy(logits.float(), labels[part], reduction="sum")[None],)

    chosen = functional.pad(predicted, (0, 1))
    (losses,), _ = policy(batch.input_ids, mask, batch.position_ids, chosen, of_logits)
    return losses.sum(), torch.count_nonzero(predicted)
