"""AdamW for SFT, with warm-up and decay, and for RL, in two groups; and clipping of gradients by norm."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lightning_modules.models.policy import Policy
from lightning_modules.models.sharding import full_tensor
from lightning_modules.rl.config import check_at_least_zero, check_fraction

Schedule = Literal["cosine", "linear", "constant"]


@dataclass(frozen=True, kw_only=True)
class AdamWConfig:
    """Optimizer and learning-rate schedule.

    Attributes:
        lr: peak learning rate.
        betas: decay of the first and second moment.
        eps: added to the root of the second moment.
        weight_decay: decoupled decay of matrices and embeddings; norms and biases have none.
        warmup_steps: optimizer steps of linear warm-up from 0.
        schedule: shape of the decay from `lr` after the warm-up.
        min_lr_ratio: fraction of `lr` at the last step (ignored by `constant`).
    """

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.1
    warmup_steps: int = 40
    schedule: Schedule = "cosine"
    min_lr_ratio: float = 0.1

    def __post_init__(self) -> None:
        for name, value in (("lr", self.lr), ("eps", self.eps)):
            if not value > 0:
                raise ValueError(f"optimizer: {name} is {value}, it must be positive")
        for name, value in (("weight_decay", self.weight_decay), ("warmup_steps", self.warmup_steps)):
            if not value >= 0:
                raise ValueError(f"optimizer: {name} is {value}, it must not be negative")
        check_betas(self.betas)
        if not 0 <= self.min_lr_ratio <= 1:
            raise ValueError(f"optimizer: min_lr_ratio is {self.min_lr_ratio}, it must lie in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class RLOptimizerConfig:
    """AdamW for policy and critic.

    Args:
        lr: Learning rate of the policy.
        value_lr: Learning rate of the critic: of its head, and of its trunk if that is separate.
        betas: Decay rates of AdamW's moments.
        weight_decay: Of the policy.
        warmup_iterations: Iterations of linear warm-up of `lr`, after the critic's warm-up.
        cooldown_frac: Last fraction of the iterations of a run (`trainer.max_epochs`) in which `lr` falls linearly
            towards zero (Hägele et al. 2024, arXiv 2405.18392); 0.0 = never.
    """

    lr: float = 3e-5
    value_lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    warmup_iterations: int = 3
    cooldown_frac: float = 0.0

    def __post_init__(self) -> None:
        check_at_least_zero(
            "optimizer",
            lr=self.lr,
            value_lr=self.value_lr,
            weight_decay=self.weight_decay,
            warmup_iterations=self.warmup_iterations,
        )
        check_fraction("optimizer", cooldown_frac=self.cooldown_frac)
        check_betas(self.betas)

    def lr_at(self, iteration: int, num_iterations: int | None) -> float:
        """Return the learning rate in iteration `iteration` of the policy (0 = the first that trains it).

        Args:
            iteration: Of the policy.
            num_iterations: Of the policy, in the whole run; None = without end.
        """
        factor = min(1.0, (iteration + 1) / max(1, self.warmup_iterations))
        if num_iterations is not None and self.cooldown_frac > 0.0:
            factor = min(factor, max(0, num_iterations - iteration) / (self.cooldown_frac * num_iterations))
        return self.lr * factor


def check_betas(betas: tuple[float, float]) -> None:
    """Check decay rates of AdamW.

    Raises:
        ValueError: One of them is not in [0, 1).
    """
    if not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"optimizer.betas are {list(betas)}: each must be at least 0.0 and below 1.0")


def build_adamw(named_parameters: Iterable[tuple[str, nn.Parameter]], config: AdamWConfig, *, fused: bool) -> AdamW:
    """Build AdamW over the trainable parameters in two groups: decayed (at least two dimensions) and not."""
    trainable = [parameter for _, parameter in named_parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=fused)


def lr_factor(step: int, *, num_steps: int, config: AdamWConfig) -> float:
    """Return the learning rate of optimizer step `step` (from 0) of `num_steps`, as a fraction of the peak."""
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return 1.0
    progress = min(1.0, (step - config.warmup_steps) / max(1, num_steps - 1 - config.warmup_steps))
    decay = 1.0 - progress if config.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
    return config.min_lr_ratio + (1.0 - config.min_lr_ratio) * decay


def build_schedule(optimizer: Optimizer, config: AdamWConfig, *, num_steps: float) -> LambdaLR:
    """Build the schedule of a run of `num_steps` optimizer steps.

    Raises:
        ValueError: the run has no end, and the schedule needs one.
    """
    if not math.isfinite(num_steps):
        if config.schedule != "constant":
            raise ValueError(f"schedule {config.schedule} needs an end: set trainer.max_epochs or trainer.max_steps")
        num_steps = 0
    return LambdaLR(optimizer, lambda step: lr_factor(step, num_steps=int(num_steps), config=config))


def build_rl_adamw(policy: Policy, config: RLOptimizerConfig) -> AdamW:
    """Group the parameters by learning rate: those of the language model first, then those of the critic."""
    groups = [
        {
            "params": [parameter for parameter in policy.causal_lm.parameters() if parameter.requires_grad],
            "lr": config.lr,
            "weight_decay": config.weight_decay,
        },
        {"params": policy.critic_parameters(), "lr": config.value_lr, "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], betas=config.betas, fused=True)


def check_clipping(max_norm: float | None, algorithm: str | None) -> None:
    """Check settings of the Trainer that `clip_by_norm` does not support.

    Raises:
        ValueError: the norm is negative, or the algorithm is clipping by value.
    """
    if algorithm == "value":
        raise ValueError("trainer.gradient_clip_algorithm: value is not supported, use norm or leave it out")
    if max_norm is not None and not max_norm >= 0:
        raise ValueError(
            f"trainer.gradient_clip_val is {max_norm}: it must be above 0.0, or null or 0.0 for no clipping"
        )


def clip_by_norm(parameters: Iterable[nn.Parameter], max_norm: float | None) -> Tensor:
    """Scale gradients so that their 2-norm over all parameters and ranks is at most `max_norm`.

    Works with sharded parameters, fused optimizers and mixed precision; Lightning's own clipping rejects a fused
    optimizer under bf16-mixed.

    Args:
        parameters: with gradients.
        max_norm: None or 0.0 = do not scale.

    Returns:
        The norm before scaling, a scalar.
    """
    return full_tensor(torch.nn.utils.clip_grad_norm_(parameters, max_norm or math.inf))
