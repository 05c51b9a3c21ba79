"""Judges the optimizer steps of an iteration, each by means over its trained tokens: of all its parts and all ranks.

A step without a trained token has no means, and must move nothing; nor may those after a step that went too far.
"""

import torch
from torch import Tensor


class StepWatch:
    """Watches the steps of one iteration after the other.

    Args:
        target_kl: nats a token from the policy that sampled, beyond which the rest of an iteration stands still; None
            = never.
    """

    def __init__(self, target_kl: float | None) -> None:
        self._target_kl = target_kl
        self.start_iteration()

    def start_iteration(self) -> None:
        """Forget the iteration before."""
        self.is_stopped = False
        """Whether a step of this iteration was too far."""
        self.is_empty = False
        """Whether the present step has no trained token."""
        self._knows_first_ratio = False
        self._parts: list[Tensor] = []

    @property
    def stands_still(self) -> bool:
        """Whether the present step must move nothing."""
        return self.is_stopped or self.is_empty

    def start_part(self, share: Tensor) -> Tensor:
        """Begin a part of a step.

        Args:
            share: scalar, the trained tokens of the step that fall to each of its parts and ranks.

        Returns:
            What the sums of the part are divided by: the share, or 1 in an empty step.
        """
        self.is_empty = not bool(share > 0)
        return torch.ones_like(share) if self.is_empty else share

    def end_part(self, distances: Tensor) -> None:
        """Keep [2] approximate KL and ratio of a part, sums divided by the share, averaged over ranks."""
        self._parts.append(distances)

    def end_step(self) -> dict[str, Tensor | float]:
        """Judge the step by all its parts, and give what is to be logged of it, by tag."""
        approx_kl, ratio = torch.stack(self._parts).mean(0)
        self._parts = []
        if self._target_kl is not None and bool(approx_kl > self._target_kl):
            self.is_stopped = True
        metrics: dict[str, Tensor | float] = {"policy/stopped_share": float(self.is_stopped)}
        if not self.is_empty and not self._knows_first_ratio:  # what comes before it has moved nothing
            self._knows_first_ratio = True
            metrics["policy/first_ratio"] = ratio
        return metrics
