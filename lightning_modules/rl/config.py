"""Settings of reinforcement learning."""

from dataclasses import dataclass
from typing import Literal

from executor.grading.rewards import RewardConfig
from lightning_modules.generation.rollout_engine import check_engine
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.policy import Trunk
from lightning_modules.rl.custom_reward import RewardFunction
from lightning_modules.rl.objectives.rollout_correction import RolloutCorrectionConfig

Estimator = Literal["gae", "grpo", "dr_grpo", "rloo", "reinforce_pp"]
PolicyLoss = Literal["ppo", "gspo", "cispo"]
LossAggregation = Literal["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"]


@dataclass(frozen=True, kw_only=True)
class AlgorithmConfig:
    """How advantages are estimated and how the policy is updated.

    Args:
        estimator: Of the advantages: `gae` (PPO, needs a critic), or without a critic `grpo`, `dr_grpo` (not divided by
            the standard deviation of the group), `rloo` or `reinforce_pp`.
        policy_loss: `ppo`: the clipped surrogate per token. `gspo`: with the probability ratio of the whole completion
            (arXiv 2507.18071). `cispo`: the policy gradient with a clipped ratio as weight, so that no token loses its
            gradient (MiniMax-M1, arXiv 2506.13585).
        gamma: Discount per token, for `gae` and `reinforce_pp`.
        whiten: Center and scale the advantages over the iteration.
        clip_ratio_low: The probability ratio is clipped below at 1 - clip_ratio_low.
        clip_ratio_high: The probability ratio is clipped above at 1 + clip_ratio_high.
        entropy_coef: Weight of the entropy bonus; with `entropy_target` the first one.
        entropy_target: Entropy in nats per token that an adaptive weight keeps the policy above; null = a fixed weight
            (`lightning_modules.rl.objectives.entropy`).
        target_kl: When the KL of a minibatch from the policy before the iteration (k3, nats per token) exceeds this,
            the other minibatches of the iteration are skipped; null = never.
        filter_zero_variance_groups: Do not train on prompts whose completions all have the same reward.
        partial_credit_needs_pass: Withhold partial credit (`reward.fraction_coef`, `loads_coef`) from completions of
            prompts that none of them solved (`lightning_modules.rl.rollouts.partial_credit`).
        max_gen_batches: Dynamic sampling (DAPO, arXiv 2503.14476): sample further prompts, up to this many batches of
            them in an iteration, until `prompts_per_iteration` prompts have completions with different rewards. If
            there are fewer, the iteration trains on those. 1 = off.
        mask_truncated_completions: Do not train on completions that were truncated at the maximum length.
        overlong_buffer: Soft overlong punishment (DAPO, arXiv 2503.14476, equation 13): over the last `overlong_buffer`
            tokens before `sampling.max_new_tokens`, up to 1.0 is subtracted from the reward, in proportion to the
            length; 0 = off.
        sft_coef: Weight of the mean cross-entropy per token of the examples of `data.sft_examples`; 0.0 = none.
        loss_aggregation: Of the policy loss over an optimizer step. `token-mean`: the mean over trained tokens (DAPO).
            The others are means over completions: `seq-mean-token-mean` of the mean over tokens (GRPO),
            `seq-mean-token-sum` of the sum, `seq-mean-token-sum-norm` of the sum divided by the maximum length
            (Dr. GRPO, arXiv 2503.20783), so that a token's weight does not depend on the lengths of completions.
        rollout_correction: Importance weights for completions that another policy sampled. null: truncated weights per
            token where that is so by the settings of `rollout`, which is not the case for the engine `native` with a
            staleness of 0.
    """

    estimator: Estimator = "gae"
    policy_loss: PolicyLoss = "ppo"
    gamma: float = 1.0
    whiten: bool = True
    clip_ratio_low: float = 0.2
    clip_ratio_high: float = 0.2
    entropy_coef: float = 0.0
    entropy_target: float | None = None
    target_kl: float | None = 0.05
    filter_zero_variance_groups: bool = False
    partial_credit_needs_pass: bool = True
    max_gen_batches: int = 1
    mask_truncated_completions: bool = False
    overlong_buffer: int = 0
    sft_coef: float = 0.0
    loss_aggregation: LossAggregation = "token-mean"
    rollout_correction: RolloutCorrectionConfig | None = None

    def __post_init__(self) -> None:
        check_at_least_zero(
            "algorithm",
            clip_ratio_low=self.clip_ratio_low,
            clip_ratio_high=self.clip_ratio_high,
            entropy_coef=self.entropy_coef,
            overlong_buffer=self.overlong_buffer,
            sft_coef=self.sft_coef,
        )
        if self.target_kl is not None and self.target_kl <= 0:
            raise ValueError(f"algorithm.target_kl must be above 0.0, or null, got {self.target_kl}")
        if self.entropy_target is not None and self.entropy_target <= 0:
            raise ValueError(f"algorithm.entropy_target must be above 0.0 nats, or null, got {self.entropy_target}")
        check_fraction("algorithm", gamma=self.gamma)
        if self.max_gen_batches < 1:
            raise ValueError(f"algorithm.max_gen_batches must be at least 1, got {self.max_gen_batches}")
        if self.max_gen_batches > 1 and not self.filter_zero_variance_groups:
            raise ValueError(
                f"algorithm.max_gen_batches is {self.max_gen_batches}, but filter_zero_variance_groups is false: "
                "dynamic sampling replaces the groups that are filtered; set it to true"
            )


@dataclass(frozen=True, kw_only=True)
class CriticConfig:
    """The critic of `gae`.

    Args:
        trunk: `separate`: a second model with a head; `shared`: a head on the hidden states of the policy.
        num_epochs: Passes over the rollouts of an iteration that train only the critic (its head, if the trunk is
            shared). They come after the advantages are computed, so these use the critic of earlier iterations.
        minibatch_size: Completions per optimizer step of those passes, over all ranks; null = `data.minibatch_size`.
        coef: Weight of the value loss in the policy's optimizer steps, which train a shared trunk for both.
        clip: Values are clipped to this distance from the value at sampling, in standard deviations of returns; null =
            no clipping.
        gae_lambda: Of the advantages: 0 = one-step errors, 1 = returns minus values.
        warmup_iterations: Iterations at the start without optimizer steps of the policy.
    """

    trunk: Trunk = "separate"
    num_epochs: int = 4
    minibatch_size: int | None = None
    coef: float = 0.1
    clip: float | None = None
    gae_lambda: float = 0.95
    warmup_iterations: int = 3

    def __post_init__(self) -> None:
        check_at_least_zero("critic", coef=self.coef, warmup_iterations=self.warmup_iterations)
        if self.num_epochs < 1:
            raise ValueError(f"critic.num_epochs must be at least 1, got {self.num_epochs}")
        if self.minibatch_size is not None and self.minibatch_size < 1:
            raise ValueError(f"critic.minibatch_size must be at least 1, or null, got {self.minibatch_size}")
        if self.clip is not None and self.clip <= 0:
            raise ValueError(f"critic.clip must be above 0.0, or null, got {self.clip}")
        check_fraction("critic", gae_lambda=self.gae_lambda)


@dataclass(frozen=True, kw_only=True)
class KLConfig:
    """The KL penalty, which keeps the policy near the reference policy.

    Args:
        apply_to: `reward` subtracts the penalty from the reward of each token; `loss` adds it to the loss.
        estimator: Of the KL at a token: `k1` (unbiased, may be negative) or `k3` (never negative). In the loss it must
            be `k3`: the expected gradient of k1 is zero.
        init_coef: Initial KL coefficient, reward per nat.
        target: KL per completion in nats that an adaptive coefficient aims at; null = fixed. The coefficient adapts by
            factors, so it must not start at 0.0.
        horizon: Completions over which the coefficient adapts; larger is slower.
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
            raise ValueError(f"kl.target must be above 0.0, or null for a fixed coefficient, got {self.target}")
        if self.horizon < 1:
            raise ValueError(f"kl.horizon must be at least 1, got {self.horizon}")
        if self.apply_to == "loss" and self.estimator == "k1":
            raise ValueError("kl.estimator k1 has no gradient in the loss: use k3, or kl.apply_to: reward")
        if self.target is not None and self.init_coef == 0:
            raise ValueError(
                f"kl.init_coef is 0.0, which kl.target {self.target} cannot change: raise it, or set kl.target to null"
            )


@dataclass(frozen=True, kw_only=True)
class RolloutConfig:
    """How completions are generated.

    Args:
        engine: What decodes. `native`: the fastest decoder in the process of the trainer for the architecture.
            `transformers`: `generate` of transformers. `vllm`: vLLM in the process of each rank. `http://HOST:PORT`, or
            several with commas between them: vLLM servers, which all ranks share.
        gpu_memory_utilization: Fraction of the GPU's memory that `vllm` uses while it generates.
        staleness: Iterations by which the policy that samples is behind the one that is trained. 0: sample, then train.
            k: sample and grade the completions of the next k iterations while this one is trained
            (`lightning_modules.rl.rollouts.rollout_queue`).
    """

    engine: str = "native"
    gpu_memory_utilization: float = 0.4
    staleness: int = 0

    def __post_init__(self) -> None:
        check_engine(self.engine)
        if not 0.0 < self.gpu_memory_utilization <= 1.0:
            raise ValueError(
                f"rollout.gpu_memory_utilization is {self.gpu_memory_utilization}; it must be above 0.0, at most 1.0"
            )
        if self.staleness < 0:
            raise ValueError(f"rollout.staleness is {self.staleness} iterations; it must be at least 0")


@dataclass(frozen=True, kw_only=True)
class RLConfig:
    """How rollouts are collected and turned into training data: the settings of `lightning_modules.rl.rollout`.

    Raises:
        ValueError: Two settings contradict each other, or a value is out of range; the message names the keys.
    """

    algorithm: AlgorithmConfig
    critic: CriticConfig | None
    kl: KLConfig
    sampling: SamplingParams
    reward: RewardConfig
    rollout: RolloutConfig = RolloutConfig()
    reward_function: RewardFunction | None = None
    rollout_batch_size: int = 128
    """Completions decoded together."""
    logprob_batch_size: int = 32
    """Completions per forward pass when log-probabilities are computed."""
    reward_probe_fraction: float = 0.25
    """Fraction of passing completions that are graded again on held-out inputs."""
    seed: int = 0

    def __post_init__(self) -> None:
        estimator, critic = self.algorithm.estimator, self.critic
        if estimator == "gae" and critic is None:
            raise ValueError("algorithm.estimator is gae, which needs a critic, but critic is null: change one of them")
        if estimator != "gae" and critic is not None:
            raise ValueError(f"algorithm.estimator is {estimator}, which takes no critic: set critic to null")
        if estimator in ("grpo", "dr_grpo", "rloo") and self.algorithm.gamma != 1.0:
            raise ValueError(
                f"algorithm.gamma is {self.algorithm.gamma}, but {estimator} does not discount: all tokens of a "
                "completion have the same advantage; set it to 1.0"
            )
        buffer, max_new_tokens = self.algorithm.overlong_buffer, self.sampling.max_new_tokens
        if buffer > max_new_tokens:
            raise ValueError(
                f"algorithm.overlong_buffer is {buffer} tokens, but sampling.max_new_tokens only {max_new_tokens}"
            )
        if buffer and self.algorithm.mask_truncated_completions:
            raise ValueError(
                f"algorithm.overlong_buffer {buffer} punishes truncated completions, but mask_truncated_completions "
                "leaves them out: use one of the two"
            )
        if self.sampling.temperature == 0.0:
            raise ValueError("sampling.temperature is 0.0, so all completions of a prompt are equal; 1.0 is usual")
        for name in ("rollout_batch_size", "logprob_batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0.0 <= self.reward_probe_fraction <= 1.0:
            raise ValueError(f"reward_probe_fraction is {self.reward_probe_fraction}; it must be from 0.0 (off) to 1.0")

    @property
    def rollout_correction(self) -> RolloutCorrectionConfig | None:
        """The importance correction in use; None = none."""
        explicit = self.algorithm.rollout_correction
        if explicit is not None:
            return None if explicit.rollout_is is None and explicit.rollout_rs is None else explicit
        is_on_policy = self.rollout.engine == "native" and self.rollout.staleness == 0
        return None if is_on_policy else RolloutCorrectionConfig(rollout_is="token")

    def needs_logprobs(self, num_optimizer_steps: int) -> bool:
        """Whether an iteration computes log-probabilities before it trains.

        With a single optimizer step the policy that is trained is the one that sampled, so the loss has the
        log-probabilities already; a critic, a KL penalty, the reference policy's curves and importance weights need
        more.
        """
        uses_kl = self.kl.init_coef > 0 or self.kl.target is not None
        corrects = self.rollout_correction is not None
        return num_optimizer_steps > 1 or self.critic is not None or uses_kl or corrects


def check_at_least_zero(group: str, **values: float) -> None:
    """Check that the values of some keys of a group are not negative.

    Raises:
        ValueError: One of them is; the message names its key.
    """
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{group}.{name} must be at least 0, got {value}")


def check_fraction(group: str, **values: float) -> None:
    """Check that the values of some keys of a group are from 0 to 1.

    Raises:
        ValueError: One of them is not; the message names its key.
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{group}.{name} must be from 0.0 to 1.0, got {value}")
