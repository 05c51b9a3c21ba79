"""One iteration of reinforcement learning up to its optimizer steps: from prompts to minibatches.

`sample_iteration` and `build_batches` are the algorithm; the functions below them are its steps. Nothing here changes
the policy, so the result is a function of the policy, the prompts and (seed, iteration). The two may be iterations
apart (`lightning_modules.rl.rollouts.rollout_queue`).

Shapes: `N` completions of an iteration on this rank, padded on the right to `L` tokens.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from datamodules.batches import MinibatchConfig, PromptBatch, RolloutBatch
from datamodules.encoding.prefix_packing import completion_mask, pack_completions
from lightning_modules.models.forward.compute import uses_flex_attention
from lightning_modules.models.forward.packed_forward import packed_forward
from lightning_modules.rl.config import RLConfig
from lightning_modules.rl.objectives.advantages import (
    estimate_advantages,
    find_zero_variance_groups,
    overlong_penalties,
    token_rewards,
)
from lightning_modules.rl.objectives.kl import kl_estimate
from lightning_modules.rl.objectives.numerics import SumOverRanks, moment_sums, no_reduce, token_logprobs, whiten
from lightning_modules.rl.objectives.rollout_correction import correct_rollouts
from lightning_modules.rl.rollouts.metrics import measure_rollouts
from lightning_modules.rl.rollouts.minibatches import build_minibatches
from lightning_modules.rl.rollouts.partial_credit import score_rollouts
from lightning_modules.rl.rollouts.records import (
    Advantages,
    Rollout,
    SampledRollouts,
    TokenLogprobs,
    gather_sampler_logprobs,
    number_groups,
    scatter_sampler_logprobs,
)
from lightning_modules.rl.rollouts.reward_probe import ProbeCounts, probe_rewards
from lightning_modules.rl.rollouts.sampling import RolloutContext, StageTimer, describe_faults, sample_rollouts


class IterationSamples(NamedTuple):
    """The rollouts of an iteration before anything is computed from them."""

    sampled: SampledRollouts
    probe: ProbeCounts | None
    """Of the reward-hacking probe; None if it is off"""
    seconds: Mapping[str, float]
    """Wall time of the stages `prompts`, `generate` and `execute`"""


@torch.no_grad()
def sample_iteration(
    context: RolloutContext, draw_prompts: Callable[[int], PromptBatch], causal_lm: PreTrainedModel | None = None
) -> IterationSamples:
    """Complete and grade the prompts of an iteration.

    Args:
        context: Engine, executor and settings; not changed.
        draw_prompts: Returns the prompts of this rank for 0, and further ones for 1, 2, ... (dynamic sampling).
        causal_lm: Samples; None = the policy.
    """
    timer = StageTimer()
    # 1. Generate and grade. With dynamic sampling, repeat until enough prompts have different rewards.
    sampled = sample_rollouts(context, draw_prompts, timer, causal_lm)
    # 2. Grade some passing completions again, on held-out inputs; this is measured, not trained on.
    iteration = sampled.batch.iteration
    probe = probe_rewards(context.executor, sampled.trained, sampled.streams, context.config, iteration=iteration)
    timer.stop("execute")
    return IterationSamples(sampled, probe, timer.seconds)


@torch.no_grad()
def build_batches(
    context: RolloutContext, samples: IterationSamples, passes: Sequence[MinibatchConfig]
) -> list[RolloutBatch]:
    """Build the minibatches to train on from the rollouts of an iteration.

    Args:
        context: Policy, reference policy and settings; not changed.
        samples: Of this rank.
        passes: Passes of critic and policy over the rollouts, in the order of training.

    Returns:
        The micro-batches of this rank, in the order of training.

    Raises:
        ValueError: No completion of any rank could be graded.
    """
    config, sampled, timer = context.config, samples.sampled, StageTimer()
    rollouts = sampled.trained
    # 3. Compute log-probabilities of policy and reference, and values, unless the loss computes all that is needed.
    if config.needs_logprobs(sum(one.count_steps(len(rollouts)) for one in passes)):
        with context.autocast():
            logprobs = compute_logprobs(context, rollouts)
    else:
        logprobs = gather_sampler_logprobs(rollouts)
    timer.stop("logprob")
    # 4. Compute advantages and returns.
    targets = compute_advantages(rollouts, logprobs, config, context.kl_coef, context.sum_over_ranks)
    # 5. Measure, and build minibatches.
    if context.on_rollouts is not None:
        context.on_rollouts(sampled, targets)
    seconds = {**samples.seconds, **timer.seconds}
    stats = measure_rollouts(sampled, logprobs, targets, samples.probe, config, seconds, context.sum_over_ranks)
    if stats.num_rewarded == 0:
        raise ValueError(describe_faults(sampled))
    return build_minibatches(
        rollouts,
        logprobs,
        targets,
        stats,
        sampled.batch,
        passes,
        get_pad_id(context.tokenizer),
        aggregation=config.algorithm.loss_aggregation,
        max_length=config.sampling.max_new_tokens,
        sum_over_ranks=context.sum_over_ranks,
    )


def compute_logprobs(context: RolloutContext, rollouts: Sequence[Rollout]) -> TokenLogprobs:
    """Compute log-probabilities of policy and reference and values, by the forward pass that training uses.

    All ranks run the same number of forward passes, of `logprob_batch_size` completions each.

    Args:
        context: Models and settings.
        rollouts: N rollouts; equal prompts within a forward pass are computed once.

    Returns:
        [N, L] each, on the CPU in float32.
    """
    policy, config, pad_id = context.policy, context.config, get_pad_id(context.tokenizer)

    def logits_fn(logits: Tensor, tokens: Tensor) -> tuple[Tensor]:
        return (token_logprobs(logits, tokens, temperature=config.sampling.temperature),)

    mask = completion_mask(torch.tensor([len(rollout.completion.token_ids) for rollout in rollouts]))
    zeros = torch.zeros(mask.shape)
    result = TokenLogprobs(zeros, zeros.clone(), zeros.clone(), mask)
    flex, device = uses_flex_attention(policy.causal_lm), policy.causal_lm.device
    for first in range(0, len(rollouts), config.logprob_batch_size):
        part = slice(first, first + config.logprob_batch_size)
        packed = pack_completions(
            [rollout.prompt.prompt_ids for rollout in rollouts[part]],
            [rollout.completion.token_ids for rollout in rollouts[part]],
            pad_id=pad_id,
        )
        predicted = packed.predicts_completion()
        rows, positions = packed.to(device), predicted.to(device)
        (logprobs,), values = packed_forward(policy, rows, positions, logits_fn, flex=flex)
        (ref_logprobs,) = packed_forward(context.reference.forward, rows, positions, logits_fn, flex=flex)
        for target, source in zip(result[:3], (logprobs, ref_logprobs, values), strict=True):
            if source is not None:
                scattered = torch.zeros(predicted.shape).masked_scatter_(predicted, source.float().cpu())
                per_token = packed.gather(scattered)
                target[part, : per_token.shape[1]] = per_token
    return result


def compute_advantages(
    rollouts: Sequence[Rollout],
    logprobs: TokenLogprobs,
    config: RLConfig,
    kl_coef: float,
    sum_over_ranks: SumOverRanks = no_reduce,
) -> Advantages:
    """Compute advantages and returns from rewards, and which completions are trained.

    A completion whose reward is unknown after an infra fault is excluded from the loss, from the statistics of its
    group and from whitening.

    Args:
        rollouts: N rollouts.
        logprobs: [N, L] each.
        config: Estimator, KL penalty, filters and importance correction.
        kl_coef: Current KL coefficient.
        sum_over_ranks: Whitening is over the completions of all ranks.
    """
    algorithm, kl = config.algorithm, config.kl
    known = torch.tensor([rollout.reward is not None for rollout in rollouts])
    rewards = score_rollouts(rollouts, needs_pass=algorithm.partial_credit_needs_pass)
    groups = number_groups(rollouts)
    penalty = kl_estimate(logprobs.logprobs, logprobs.ref_logprobs, kl.estimator)
    in_reward = kl_coef if kl.apply_to == "reward" else 0.0
    overlong = overlong_penalties(logprobs.mask.sum(1), config.sampling.max_new_tokens, algorithm.overlong_buffer)
    per_token = token_rewards(rewards - overlong, penalty, logprobs.mask, kl_coef=in_reward)
    advantages, returns = estimate_advantages(per_token, logprobs, known, groups, algorithm, config.critic)
    zero_variance = find_zero_variance_groups(rewards, known, groups)  # their lengths may differ
    trained = known.clone()
    if algorithm.filter_zero_variance_groups:
        trained &= ~zero_variance
    if algorithm.mask_truncated_completions:
        trained &= torch.tensor([rollout.completion.finished for rollout in rollouts])
    loss_mask = logprobs.mask & trained[:, None]
    correction = None
    if config.rollout_correction is not None:
        sampled = scatter_sampler_logprobs(rollouts, logprobs.mask)
        correction = correct_rollouts(logprobs.logprobs, sampled, logprobs.mask, config.rollout_correction)
        loss_mask &= correction.kept
    if algorithm.whiten:
        advantages = whiten(advantages, loss_mask, sums=sum_over_ranks(moment_sums(advantages, loss_mask)))
    if correction is not None:
        advantages = advantages * correction.weights
    return Advantages(advantages, returns, loss_mask, logprobs.mask & known[:, None], zero_variance, correction)


def get_pad_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """Return the padding token, which `load_policy` has checked."""
    assert isinstance(tokenizer.pad_token_id, int)
    return tokenizer.pad_token_id
