"""Importance weights for completions that another policy sampled than the one that is trained.

The policies differ if sampling is behind training (`rollout.staleness`), or if the engine that decodes computes other
log-probabilities than the trainer. The ratio of a token is its probability under the policy at the start of the
iteration, computed by the trainer, over its probability when it was sampled. Truncated importance sampling (TIS, Yao et
al. 2025, "Your Efficient RL Framework Secretly Brings You Off-Policy RL Training") multiplies the advantages by the
ratio, truncated above; rejection leaves out what is too far away. Names and defaults are those of verl's
`rollout_correction`. The probability ratio of the policy loss is a different one: to the policy at the start of the
iteration, from which the optimizer steps move away.

Shapes: `N` completions, padded on the right to `L` tokens; a mask is True on the tokens of a completion.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lightning_modules.rl.objectives.policy_losses import MAX_LOG_RATIO


@dataclass(frozen=True, kw_only=True)
class RolloutCorrectionConfig:
    """How the difference between the policy that sampled and the one that is trained is corrected.

    Args:
        rollout_is: Weigh advantages by the ratio of each `token`, or by that of the whole `sequence` (the product);
            null = no weights.
        rollout_is_threshold: Larger weights are truncated to this.
        rollout_rs: Leave out (rejection sampling) each `token` with a ratio outside of the bounds, or each completion
            for which the product of ratios (`sequence`) or their geometric mean (`geometric`) is; null = keep all.
        rollout_rs_threshold: The bounds are 1 / threshold and threshold.
    """

    rollout_is: Literal["token", "sequence"] | None = None
    rollout_is_threshold: float = 2.0
    rollout_rs: Literal["token", "sequence", "geometric"] | None = None
    rollout_rs_threshold: float = 2.0

    def __post_init__(self) -> None:
        for name in ("rollout_is_threshold", "rollout_rs_threshold"):
            if not getattr(self, name) >= 1.0:
                raise ValueError(
                    f"algorithm.rollout_correction.{name} is {getattr(self, name)}; it must be at least 1.0, the "
                    "ratio of equal policies"
                )


class RolloutCorrection(NamedTuple):
    """The correction of an iteration, [N, L] each."""

    weights: Tensor
    """Factors of the advantages; 0 outside the mask"""
    ratios: Tensor
    """`weights` before truncation"""
    kept: Tensor
    """bool, False on tokens that are left out"""


def correct_rollouts(
    logprobs: Tensor, sampler_logprobs: Tensor, mask: Tensor, config: RolloutCorrectionConfig
) -> RolloutCorrection:
    """Compute the weights of tokens, and which tokens are trained on.

    Args:
        logprobs: [N, L] under the policy at the start of the iteration.
        sampler_logprobs: [N, L] at sampling.
        mask: [N, L] bool.
        config: Levels and thresholds.
    """
    log_ratio = torch.where(mask, logprobs - sampler_logprobs, 0.0)
    ratios = torch.ones_like(log_ratio) if config.rollout_is is None else _ratios(log_ratio, mask, config.rollout_is)
    ratios = torch.where(mask, ratios, 0.0)
    kept = torch.ones_like(mask)
    if config.rollout_rs is not None:
        bound, compared = config.rollout_rs_threshold, _ratios(log_ratio, mask, config.rollout_rs)
        kept = (compared >= 1.0 / bound) & (compared <= bound)
    return RolloutCorrection(ratios.clamp(max=config.rollout_is_threshold), ratios, kept)


def _ratios(log_ratio: Tensor, mask: Tensor, level: str) -> Tensor:
    """Return [N, L] ratios, of each token or the same for all tokens of a completion."""
    if level != "token":
        log_ratio = log_ratio.sum(1, keepdim=True).expand_as(log_ratio)
        if level == "geometric":
            log_ratio = log_ratio / mask.sum(1, keepdim=True).clamp(min=1)
    return log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()


def correction_sums(correction: RolloutCorrection, mask: Tensor) -> Tensor:
    """[5] float64 over the tokens of the mask: count, sum of weights, of their squares, truncated and rejected tokens.

    The sums of several ranks add up.
    """
    weights = correction.weights[mask].double()
    truncated = (correction.ratios > correction.weights)[mask].sum().double()
    rejected = (~correction.kept)[mask].sum().double()
    return torch.stack([mask.sum().double(), weights.sum(), weights.square().sum(), truncated, rejected])


def correction_metrics(sums: Tensor, max_ratio: float) -> dict[str, float]:
    """Return the metrics of `correction_sums` by tag.

    The effective sample size is that of Kish, as a fraction: `(sum w)^2 / (n sum w^2)`, 1 for equal weights.
    """
    count, total, squares, truncated, rejected = sums.tolist()
    count = max(count, 1.0)
    return {
        "rollout/is_weight_mean": total / count,
        "rollout/is_weight_max": max_ratio,
        "rollout/is_truncated_frac": truncated / count,
        "rollout/is_effective_frac": total**2 / (count * squares) if squares else 0.0,
        "rollout/rs_rejected_frac": rejected / count,
    }
