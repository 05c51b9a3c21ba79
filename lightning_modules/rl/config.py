"""The settings of reinforcement learning, grouped by what they are about."""

from dataclasses import dataclass
from typing import Literal

from lightning_modules.models.policy import Trunk

Estimator = Literal["gae", "grpo", "rloo", "reinforce_pp"]


@dataclass(frozen=True, kw_only=True)
class AlgorithmConfig:
    """What is made of rewards, and how a step is held near the policy that sampled.

    Args:
        estimator: of the advantages: `gae` (PPO, needs a critic), `grpo`, `rloo`, `reinforce_pp` (these take none).
        gamma: discount of one token; of `gae` and `reinforce_pp`.
        whiten: centre and scale the advantages over the iteration.
        clip_ratio_low: the probability ratio is held above 1 - clip_ratio_low.
        clip_ratio_high: the probability ratio is held below 1 + clip_ratio_high.
        entropy_coef: weight of the entropy that is rewarded.
        target_kl: once a minibatch is further than this (k3, nats a token) from the policy that sampled, the rest of
            the iteration changes nothing; null = never.
        filter_zero_variance_groups: leave out the responses to a prompt which all earned the same reward.
        mask_truncated_completions: leave out the responses that were cut off at the length limit.
    """

    estimator: Estimator = "gae"
    gamma: float = 1.0
    whiten: bool = True
    clip_ratio_low: float = 0.2
    clip_ratio_high: float = 0.2
    entropy_coef: float = 0.0
    target_kl: float | None = 0.05
    filter_zero_variance_groups: bool = False
    mask_truncated_completions: bool = False

    def __post_init__(self) -> None:
        _at_least_zero(
            "algorithm",
            clip_ratio_low=self.clip_ratio_low,
            clip_ratio_high=self.clip_ratio_high,
            entropy_coef=self.entropy_coef,
        )
        if self.target_kl is not None and self.target_kl <= 0:
            raise ValueError(f"algorithm.target_kl must be above 0.0, or null, got {self.target_kl}")
        _a_share("algorithm", gamma=self.gamma)


@dataclass(frozen=True, kw_only=True)
class CriticConfig:
    """The critic of `gae`.

    Args:
        trunk: `shared`: a head on the hidden states of the language model; `separate`: a second model with a head.
        coef: weight of the critic's loss.
        clip: the critic is held within this distance of its value at sampling; null = not held.
        gae_lambda: 0 = one-step errors, 1 = returns minus values.
        warmup_iterations: iterations at the start in which only the critic is trained (with a shared trunk its head).
    """

    trunk: Trunk = "shared"
    coef: float = 0.1
    clip: float | None = 0.2
    gae_lambda: float = 0.95
    warmup_iterations: int = 3

    def __post_init__(self) -> None:
        _at_least_zero("critic", coef=self.coef, warmup_iterations=self.warmup_iterations)
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"critic.clip must be above 0.0, or null, got {self.clip}")
        _a_share("critic", gae_lambda=self.gae_lambda)


def check_together(algorithm: AlgorithmConfig, critic: CriticConfig | None) -> None:
    """Refuse settings that contradict each other.

    Raises:
        ValueError: naming both keys.
    """
    if algorithm.estimator == "gae" and critic is None:
        raise ValueError("algorithm.estimator is gae, which needs a critic, and critic is null: name one of the two")
    if algorithm.estimator != "gae" and critic is not None:
        raise ValueError(f"algorithm.estimator is {algorithm.estimator}, which takes no critic: set critic to null")
    if algorithm.estimator in ("grpo", "rloo") and algorithm.gamma != 1.0:
        raise ValueError(
            f"algorithm.gamma is {algorithm.gamma}: {algorithm.estimator} gives every token of a response the same "
            "advantage and discounts nothing; set it to 1.0"
        )


@dataclass(frozen=True, kw_only=True)
class RLOptimizerConfig:
    """AdamW over the language model and the critic.

    Args:
        lr: learning rate of the language model.
        value_lr: learning rate of the critic: of its head, and of its trunk where that is its own.
        betas: decay rates of AdamW's moments.
        weight_decay: of the language model.
        warmup_iterations: iterations in which the language model's rate rises to `lr`, after the critic's warm-up.
    """

    lr: float = 3e-5
    value_lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    warmup_iterations: int = 3

    def __post_init__(self) -> None:
        _at_least_zero(
            "optimizer",
            lr=self.lr,
            value_lr=self.value_lr,
            weight_decay=self.weight_decay,
            warmup_iterations=self.warmup_iterations,
        )
        check_betas(self.betas)

    def lr_at(self, iteration: int) -> float:
        """Rate of the language model in its own iteration `iteration` (0 = the first it is trained in)."""
        return self.lr * min(1.0, (iteration + 1) / max(1, self.warmup_iterations))


def check_betas(betas: tuple[float, float]) -> None:
    """Refuse decay rates of AdamW that torch would not take.

    Raises:
        ValueError: one of them is no share below 1.
    """
    if not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"optimizer.betas are {list(betas)}: each must be at least 0.0 and below 1.0")


def _at_least_zero(group: str, **values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{group}.{name} must be at least 0, got {value}")


def _a_share(group: str, **values: float) -> None:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{group}.{name} must be from 0.0 to 1.0, got {value}")
