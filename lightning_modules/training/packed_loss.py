"""Next-token loss of packed rows, on completion tokens only."""

import torch
from torch import Tensor
from torch.nn import functional

from datamodules.batches import IGNORE, SFTBatch
from lightning_modules.models.forward.compute import uses_flex_attention
from lightning_modules.models.forward.packed_forward import packed_forward
from lightning_modules.models.policy import Policy


def completion_loss(policy: Policy, batch: SFTBatch) -> tuple[Tensor, Tensor]:
    """Sum the cross-entropy of the labelled tokens.

    Returns:
        The sum in nats (float32, scalar) and the number of labelled tokens (long, scalar).
    """
    predicted = batch.labels[:, 1:] != IGNORE

    def cross_entropy(logits: Tensor, tokens: Tensor) -> tuple[Tensor]:
        # a copy: FSDP2 warns of views among the outputs of a module
        return (torch.stack([functional.cross_entropy(logits.float(), tokens, reduction="sum")]),)

    flex = uses_flex_attention(policy.causal_lm)
    (losses,), _ = packed_forward(policy, batch, predicted, cross_entropy, flex=flex)
    return losses.sum(), torch.count_nonzero(predicted)
