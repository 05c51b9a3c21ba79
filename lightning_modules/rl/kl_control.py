"""The price of leaving the reference policy, fixed or adapted so that the divergence stays near a target."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class KLConfig:
    """How far the policy may go from the reference.

    Args:
        apply_to: Where the price is paid: `reward` takes it off the reward of each token; `loss` adds it to the loss, with
            its gradient.
        estimator: Of the divergence at a token: `k1` (unbiased, may be negative) or `k3` (never negative). In the loss
            it must be `k3`: the gradient of k1 is zero on average, whatever the divergence.
        init_coef: Price of one nat in units of reward, at the start.
        target: Wanted divergence in nats a response; null keeps the price fixed. The price is moved by factors, so it
            must not start at 0.0.
        horizon: Samples over which the price adapts; larger is slower.
    """

    apply_to: Literal["reward", "loss"] = "reward"
    estimator: Literal["k1", "k3"] = "k1"
    init_coef: float = 0.05
    target: float | None = None
    horizon: int = 10_000

    def __post_init__(self) -> None:
        if self.init_coef < 0:
            raise ValueError(f"kl.init_coef must be at least 0.0, got {self.init_coef}")
        if self.target is not None and self.target <= 0:
            raise ValueError(f"kl.target must be above 0.0, or null for a fixed price, got {self.target}")
        if self.horizon < 1:
            raise ValueError(f"kl.horizon must be at least 1, got {self.horizon}")
        if self.apply_to == "loss" and self.estimator == "k1":
            raise ValueError("kl.estimator k1 has no gradient in the loss: use k3, or apply_to: reward")
        if self.target is not None and self.init_coef == 0:
            raise ValueError(
                f"kl.init_coef is 0.0, and kl.target {self.target} can never move it: raise it, or set target to null"
            )


@dataclass(frozen=True)
class KLController:
    """The present price of one nat (Ziegler et al. 2019, arXiv 1909.08593, section 2.2)."""

    coef: float
    target: float | None
    horizon: int

    def update(self, kl: float, num_samples: int) -> "KLController":
        """Return the controller after `num_samples` responses with a mean divergence of `kl` nats each."""
        if self.target is None:
            return self
        error = min(max(kl / self.target - 1.0, -0.2), 0.2)
        return replace(self, coef=self.coef * (1.0 + error * min(num_samples / self.horizon, 1.0)))


def controller_of(config: KLConfig) -> KLController:
    """Make the controller a run starts with."""
    return KLController(coef=config.init_coef, target=config.target, horizon=config.horizon)
