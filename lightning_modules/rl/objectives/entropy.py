"""The weight of the entropy bonus: fixed, or adapted to a target.

With a target, the weight follows Skywork-OR1 (He et al. 2025, arXiv 2505.22312, section 4.3): it rises by a constant
after every iteration with an entropy below the target, falls by it after the others, and counts only while the entropy
is not above the target. The state is two numbers, which do not depend on how a minibatch is split. Clip-Cov and KL-Cov
(arXiv 2505.22617) select single tokens by a covariance over the minibatch, so they would depend on it.
"""

from dataclasses import dataclass, replace

STEP = 0.005
"""By which the weight changes per iteration, as in the paper."""


@dataclass(frozen=True)
class EntropyController:
    """The current weight of the entropy bonus.

    Args:
        weight: Of the bonus while the entropy is not above the target.
        target: Nats per token; None = the weight is fixed.
        entropy: Of the last iteration, nats per token; None before the first.
    """

    weight: float
    target: float | None = None
    entropy: float | None = None

    @property
    def coef(self) -> float:
        """The weight of the bonus in the loss."""
        is_above = self.target is not None and self.entropy is not None and self.entropy > self.target
        return 0.0 if is_above else self.weight

    def update(self, entropy: float) -> "EntropyController":
        """Return the controller after an iteration with a mean entropy of `entropy` nats per token."""
        if self.target is None:
            return self
        change = STEP if entropy < self.target else -STEP
        return replace(self, weight=max(0.0, self.weight + change), entropy=entropy)
