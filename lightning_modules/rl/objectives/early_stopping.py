"""Decides which optimizer steps of an iteration are skipped: steps without a trained token, and all after a large KL.

The criterion of a step is a mean over its trained tokens, of all micro-batches and ranks. It skips nothing by itself:
`RLModule` drops the gradients.
"""

import torch
from torch import Tensor


class KLEarlyStopping:
    """State of the optimizer steps of one iteration.

    Args:
        target_kl: Nats per token from the policy before the iteration, above which the rest of the iteration is
            skipped; None = never.
    """

    def __init__(self, target_kl: float | None) -> None:
        self._target_kl = target_kl
        self.start_iteration()

    def start_iteration(self) -> None:
        """Reset the state."""
        self.is_stopped = False
        """Whether a step of this iteration exceeded `target_kl`."""
        self.is_empty = False
        """Whether the current step has no trained token."""
        self._has_first_ratio = False
        self._micro_batches: list[Tensor] = []

    @property
    def skip_step(self) -> bool:
        """Whether the current step must not change any weight."""
        return self.is_stopped or self.is_empty

    def start_micro_batch(self, num_tokens: Tensor) -> Tensor:
        """Begin a micro-batch.

        Args:
            num_tokens: Scalar, trained tokens of the step per micro-batch and rank.

        Returns:
            The divisor of the micro-batch's sums: `num_tokens`, or 1 in an empty step.
        """
        self.is_empty = not bool(num_tokens > 0)
        return torch.ones_like(num_tokens) if self.is_empty else num_tokens

    def end_micro_batch(self, kl_and_ratio: Tensor) -> None:
        """Record [2] approximate KL and ratio of a micro-batch, averaged over ranks."""
        self._micro_batches.append(kl_and_ratio)

    def end_step(self) -> dict[str, Tensor | float]:
        """Decide whether to stop, and return the metrics of the step by tag."""
        approx_kl, ratio = torch.stack(self._micro_batches).mean(0)
        self._micro_batches = []
        if self._target_kl is not None and bool(approx_kl > self._target_kl):
            self.is_stopped = True
        metrics: dict[str, Tensor | float] = {"policy/early_stopped_frac": float(self.is_stopped)}
        if not self.is_empty and not self._has_first_ratio:  # empty steps before this one changed nothing
            self._has_first_ratio = True
            metrics["policy/ratio_first_minibatch"] = ratio
        return metrics
