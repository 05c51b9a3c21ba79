"""KL divergence from the reference policy: estimators per token, and the KL coefficient, fixed or adaptive."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lightning_modules.rl.config import KLConfig


@dataclass(frozen=True)
class KLController:
    """The current KL coefficient (Ziegler et al. 2019, arXiv 1909.08593, section 2.2)."""

    coef: float
    target: float | None
    horizon: int

    @classmethod
    def from_config(cls, config: KLConfig) -> "KLController":
        """Create the controller that a run starts with."""
        return cls(coef=config.init_coef, target=config.target, horizon=config.horizon)

    def update(self, kl: float, num_completions: int) -> "KLController":
        """Return the controller after `num_completions` completions with a mean KL of `kl` nats each."""
        if self.target is None:
            return self
        error = min(max(kl / self.target - 1.0, -0.2), 0.2)
        return replace(self, coef=self.coef * (1.0 + error * min(num_completions / self.horizon, 1.0)))


def kl_k1(logprobs: Tensor, other_logprobs: Tensor) -> Tensor:
    """Estimate KL(p || other) of each token drawn from p as log p - log other: unbiased, may be negative. [..] -> [..].

    Estimators k1 and k3 are those of Schulman, "Approximating KL Divergence" (2020).
    """
    return logprobs - other_logprobs


def kl_k3(logprobs: Tensor, other_logprobs: Tensor) -> Tensor:
    """Estimate KL(p || other) of each token drawn from p as r - 1 - log r with r = other / p: never negative."""
    log_ratio = (other_logprobs - logprobs).clamp(-20.0, 20.0)
    return torch.expm1(log_ratio) - log_ratio


def kl_estimate(logprobs: Tensor, other_logprobs: Tensor, estimator: str) -> Tensor:
    """Estimate KL(p || other) of each token by `k1` or `k3`. [..] -> [..]."""
    return {"k1": kl_k1, "k3": kl_k3}[estimator](logprobs, other_logprobs)
