"""Statistics of tokens that the RL losses and their metrics are made of: pure functions on tensors.

Shapes: `B` samples, `T` tokens, `V` vocabulary. A mask is True (or 1) where a token counts.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SumOverRanks = Callable[[Tensor], Tensor]
"""Adds a tensor up over all ranks; every rank must call it."""


def alone(tensor: Tensor) -> Tensor:
    """Add up over one rank."""
    return tensor


def token_logprobs(logits: Tensor, token_ids: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Log-probability of each token that was chosen, in float32.

    Args:
        logits: [B, T, V], row t being the distribution token t was drawn from.
        token_ids: [B, T] long.
        temperature: Divides the logits; the sampling temperature, so that this is the distribution sampled from.

    Returns:
        [B, T].
    """
    logits = _tempered(logits, temperature)
    return logits.gather(-1, token_ids[..., None])[..., 0] - logits.logsumexp(-1)


def token_entropy(logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Entropy in nats of each token's distribution: [B, T, V] -> [B, T], in float32."""
    logprobs = torch.log_softmax(_tempered(logits, temperature), dim=-1)
    return -(logprobs.exp() * logprobs).sum(-1)


def _tempered(logits: Tensor, temperature: float) -> Tensor:
    logits = logits.float()
    return logits if temperature == 1.0 else logits / temperature  # a pass over [B, T, V] is not free


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` is True, 0 where it is True nowhere: two tensors of one shape -> scalar."""
    weights = mask.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=1)


def moment_sums(values: Tensor, mask: Tensor) -> Tensor:
    """[3] in float64: count, sum and sum of squares where `mask` is True. The sums of several ranks add up."""
    chosen = values[mask.bool()].double()
    return torch.stack([chosen.new_tensor(float(chosen.numel())), chosen.sum(), chosen.square().sum()])


def whiten(values: Tensor, mask: Tensor, *, sums: Tensor | None = None, eps: float = 1e-8) -> Tensor:
    """Centre and scale so that the masked mean is 0 and the masked standard deviation 1; 0 where `mask` is False.

    Args:
        values: Any shape.
        mask: Same shape, True = counts.
        sums: `moment_sums` of a larger set these values belong to (all ranks); None takes their own.
        eps: Added to the variance.

    Returns:
        Same shape as `values`.
    """
    count, total, squares = moment_sums(values, mask) if sums is None else sums
    mean = total / count.clamp(min=1)
    variance = (squares / count.clamp(min=1) - mean.square()).clamp(min=0)
    whitened = ((values.double() - mean) / (variance + eps).sqrt()).to(values.dtype)
    return torch.where(mask.bool(), whitened, torch.zeros_like(values))


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


def variance(values: Tensor, sum_over_ranks: SumOverRanks = alone) -> Tensor:
    """Variance of all values of all ranks in float64, without correction: [n] -> scalar; nan where there are none.

    The mean is known before deviations are squared: sums of squares would lose a small variance beside a large mean.
    """
    values = values.double()
    total, count = sum_over_ranks(torch.stack([values.sum(), values.new_tensor(values.numel())]))
    return sum_over_ranks((values - total / count).square().sum()[None])[0] / count


def explained_variance(
    predictions: Tensor, targets: Tensor, mask: Tensor, sum_over_ranks: SumOverRanks = alone
) -> Tensor:
    """1 - Var(targets - predictions) / Var(targets) where `mask` is True: 1 perfect, 0 no better than a constant.

    Returns:
        Scalar; 0 where the targets do not vary.
    """
    chosen = mask.bool()
    goal = variance(targets[chosen], sum_over_ranks)
    error = variance((targets - predictions)[chosen], sum_over_ranks)
    return torch.where(goal > 1e-12, 1.0 - error / goal, torch.zeros_like(goal)).float()
