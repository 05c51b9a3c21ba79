"""Log-probabilities, entropy, masked means, whitening and explained variance: pure functions on tensors.

Shapes: `B` completions, `T` tokens, `V` vocabulary. A mask is True (or 1) where a token counts.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SumOverRanks = Callable[[Tensor], Tensor]
"""Sums a tensor over all ranks; every rank must call it."""


def no_reduce(tensor: Tensor) -> Tensor:
    """Sum over one rank: return the tensor."""
    return tensor


def token_logprobs(logits: Tensor, token_ids: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Return the log-probability of each token, in float32.

    Args:
        logits: [B, T, V], the distribution that each token was sampled from.
        token_ids: [B, T] long.
        temperature: The sampling temperature, which divides the logits.

    Returns:
        [B, T].
    """
    logits = _scale_logits(logits, temperature)
    return logits.gather(-1, token_ids[..., None])[..., 0] - logits.logsumexp(-1)


def token_entropy(logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Entropy in nats of each token's distribution: [B, T, V] -> [B, T], in float32."""
    logprobs = torch.log_softmax(_scale_logits(logits, temperature), dim=-1)
    return -(logprobs.exp() * logprobs).sum(-1)


def _scale_logits(logits: Tensor, temperature: float) -> Tensor:
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
    """Center and scale to masked mean 0 and masked standard deviation 1; 0 where `mask` is False.

    Args:
        values: Any shape.
        mask: Same shape, True = counts.
        sums: `moment_sums` of all ranks; None = of `values`.
        eps: Added to the variance.

    Returns:
        Same shape as `values`.
    """
    count, total, squares = moment_sums(values, mask) if sums is None else sums
    mean = total / count.clamp(min=1)
    variance = (squares / count.clamp(min=1) - mean.square()).clamp(min=0)
    whitened = ((values.double() - mean) / (variance + eps).sqrt()).to(values.dtype)
    return torch.where(mask.bool(), whitened, torch.zeros_like(values))


def variance(values: Tensor, sum_over_ranks: SumOverRanks = no_reduce) -> Tensor:
    """Variance of all values of all ranks in float64, without correction: [n] -> scalar; nan where there are none.

    Deviations from the mean are squared: sums of squares would lose a variance that is small compared to the mean.
    """
    values = values.double()
    total, count = sum_over_ranks(torch.stack([values.sum(), values.new_tensor(values.numel())]))
    return sum_over_ranks((values - total / count).square().sum()[None])[0] / count


def explained_variance(
    predictions: Tensor, targets: Tensor, mask: Tensor, sum_over_ranks: SumOverRanks = no_reduce
) -> Tensor:
    """1 - Var(targets - predictions) / Var(targets) where `mask` is True: 1 is perfect, 0 no better than a constant.

    Returns:
        Scalar; 0 where the targets do not vary.
    """
    chosen = mask.bool()
    target_variance = variance(targets[chosen], sum_over_ranks)
    error_variance = variance((targets - predictions)[chosen], sum_over_ranks)
    return torch.where(
        target_variance > 1e-12, 1.0 - error_variance / target_variance, torch.zeros_like(target_variance)
    ).float()
