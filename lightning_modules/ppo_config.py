"""The settings of PPO, grouped by what they are about."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """The algorithm.

    Args:
        clip_low: the probability ratio is held above 1 - clip_low.
        clip_high: the probability ratio is held below 1 + clip_high.
        value_clip: the critic is held within this distance of its value at sampling; null = not held.
        value_coef: weight of the critic's loss.
        entropy_coef: weight of the entropy that is rewarded.
        gamma: discount of one token.
        gae_lambda: 0 = one-step errors, 1 = returns minus values.
        whiten: centre and scale the advantages over the iteration.
        target_kl: once a minibatch is further than this (k3, nats a token) from the policy that sampled, the rest of
            the iteration changes nothing; null = never.
        critic_warmup_iterations: iterations at the start in which only the value head is trained.
        drop_uniform_groups: leave out the responses to a prompt which all earned the same reward.
        mask_truncated: leave out the responses that were cut off at the length limit.
    """

    clip_low: float = 0.2
    clip_high: float = 0.2
    value_clip: float | None = 0.2
    value_coef: float = 0.1
    entropy_coef: float = 0.0
    gamma: float = 1.0
    gae_lambda: float = 0.95
    whiten: bool = True
    target_kl: float | None = 0.05
    critic_warmup_iterations: int = 3
    drop_uniform_groups: bool = False
    mask_truncated: bool = False

    def __post_init__(self) -> None:
        _at_least_zero(
            "ppo",
            clip_low=self.clip_low,
            clip_high=self.clip_high,
            value_coef=self.value_coef,
            entropy_coef=self.entropy_coef,
            critic_warmup_iterations=self.critic_warmup_iterations,
        )
        for name in ("value_clip", "target_kl"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"ppo.{name} must be above 0.0, or null, got {value}")
        for name in ("gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"ppo.{name} must be from 0.0 to 1.0, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class RLOptimizerConfig:
    """AdamW over the language model and the value head.

    Args:
        lr: learning rate of the language model.
        value_lr: learning rate of the value head.
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

    def lr_at(self, iteration: int) -> float:
        """Rate of the language model in its own iteration `iteration` (0 = the first it is trained in)."""
        return self.lr * min(1.0, (iteration + 1) / max(1, self.warmup_iterations))


def _at_least_zero(group: str, **values: float) -> None:
    for name, value in values.items():
        if value < 0:
            raise ValueError(f"{group}.{name} must be at least 0, got {value}")
