"""Tokens and floating point operations of a training. Nothing is measured here."""
# study-fingerprint: ignore (shows or measures results, and does not affect them)

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from lightning_modules.training.flops import training_flops

NOT_SYNTHETIC = ("atomic", "tensor_atomic", "pretraining")
"""Splits whose completions are not compositions of atoms."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Tokens and floating point operations of one training, without those of the model it started from."""

    total_tokens: int
    """Prompts and completions."""
    completion_tokens: int
    """Tokens with a loss (SFT), or generated tokens (RL)."""
    synthetic_completion_tokens: int
    """Completion tokens of compositions."""
    flops: float
    """By `lightning_modules.training.flops.training_flops`."""
    num_completions: int = 0
    """Sampled and graded (RL, rejection fine-tuning)."""

    def to_json(self) -> dict[str, float]:
        """Return plain values."""
        return asdict(self)


def sft_budget(trained: Mapping[str, tuple[int, int]], *, num_weights: int) -> Budget:
    """Sum up supervised training.

    Args:
        trained: all tokens and those with a loss, by split, over all minibatches.
        num_weights: N of `training_flops`.
    """
    total = sum(tokens for tokens, _ in trained.values())
    return Budget(
        total_tokens=total,
        completion_tokens=sum(labels for _, labels in trained.values()),
        synthetic_completion_tokens=sum(n for split, (_, n) in trained.items() if split not in NOT_SYNTHETIC),
        flops=training_flops(num_weights, total),
    )


def rl_budget(
    *,
    num_completions: int,
    completion_tokens: float,
    prompt_tokens: float,
    num_ppo_epochs: int,
    num_critic_epochs: int | None = None,
    splits: Sequence[str],
    num_weights: int,
    trained_frac: float = 1.0,
    sft_tokens: int = 0,
) -> Budget:
    """Sum up reinforcement learning; completions count as synthetic if all splits are.

    Args:
        num_completions: of all iterations, like the tokens.
        completion_tokens: of all iterations.
        prompt_tokens: of all iterations, each prompt once per iteration.
        num_ppo_epochs: E of `training_flops`.
        num_critic_epochs: C of `training_flops`.
        splits: of the prompts.
        num_weights: N of `training_flops`.
        trained_frac: Fraction of the tokens that log-probabilities are computed for and updates made with; dynamic
            sampling generates further ones, which take 2 N each.
        sft_tokens: tokens of examples in addition to the rollouts, 6 N each.
    """
    completion, total = round(completion_tokens), round(completion_tokens + prompt_tokens)
    return Budget(
        total_tokens=total + sft_tokens,
        completion_tokens=completion,
        synthetic_completion_tokens=0 if any(split in NOT_SYNTHETIC for split in splits) else completion,
        flops=training_flops(
            num_weights,
            round(total * trained_frac),
            num_ppo_epochs=num_ppo_epochs,
            num_critic_epochs=num_critic_epochs,
        )
        + 2.0 * num_weights * (total - round(total * trained_frac))
        + training_flops(num_weights, sft_tokens),
        num_completions=num_completions,
    )


def add_sampling(budget: Budget, *, num_completions: int, flops: float) -> Budget:
    """Add the completions that a supervised training was given (rejection fine-tuning), and what sampling them cost."""
    return replace(budget, num_completions=budget.num_completions + num_completions, flops=budget.flops + flops)
