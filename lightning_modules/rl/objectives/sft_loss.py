"""The supervised term of the loss of reinforcement learning: cross-entropy of reference solutions."""

from torch import Tensor

from datamodules.batches import RolloutBatch
from lightning_modules.models.policy import Policy
from lightning_modules.training.packed_loss import completion_loss


def sft_loss(policy: Policy, batch: RolloutBatch, num_labels: Tensor) -> Tensor:
    """Compute the mean cross-entropy of the examples of a micro-batch, nats per token.

    Args:
        policy: Policy that is trained.
        batch: Micro-batch with examples (`sft`).
        num_labels: Scalar to divide by: the completion tokens of the optimizer step per micro-batch and rank, so that
            the mean over micro-batches and ranks is that over the tokens of the step.

    Returns:
        Scalar with gradients.
    """
    assert batch.sft is not None
    total, _ = completion_loss(policy, batch.sft)
    return total / num_labels
