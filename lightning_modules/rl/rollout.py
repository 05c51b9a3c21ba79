"""One iteration of reinforcement learning up to its optimizer steps: from prompts to minibatches.

`collect_rollouts` is the algorithm; the functions below it are its steps. Nothing here changes the policy, so the
result is a function of the policy, the prompts and (seed, iteration).

Shapes: `N` completions of an iteration on this rank, padded on the right to `L` tokens.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from datamodules.batches import MinibatchConfig, PromptBatch, RolloutBatch
from datamodules.prefix_packing import completion_mask, pack_completions
from lightning_modules.models.compute import uses_flex_attention
from lightning_modules.models.packed_forward import packed_forward
from lightning_modules.rl.advantages import estimate_advantages, find_zero_variance_groups, token_rewards
from lightning_modules.rl.config import RolloutConfig
from lightning_modules.rl.kl import kl_estimate
from lightning_modules.rl.metrics import measure_rollouts
from lightning_modules.rl.minibatches import build_minibatches
from lightning_modules.rl.numerics import SumOverRanks, moment_sums, no_reduce, token_logprobs, whiten
from lightning_modules.rl.partial_credit import score_rollouts
from lightning_modules.rl.records import Advantages, Rollout, TokenLogprobs, gather_sampler_logprobs, number_groups
from lightning_modules.rl.reward_probe import probe_rewards
from lightning_modules.rl.sampling import RolloutContext, StageTimer, sample_rollouts


@torch.no_grad()
def collect_rollouts(
    context: RolloutContext, draw_prompts: Callable[[int], PromptBatch], passes: Sequence[MinibatchConfig]
) -> list[RolloutBatch]:
    """Complete and grade the prompts of an iteration, and build the minibatches to train on.

    Args:
        context: Policy, reference policy, executor and settings; not changed.
        draw_prompts: Returns the prompts of this rank for 0, and further ones for 1, 2, ... (dynamic sampling).
        passes: Passes of critic and policy over the rollouts, in the order of training.

    Returns:
        The micro-batches of this rank, in the order of training.
    """
    config, timer = context.config, StageTimer()
    # 1. Generate and grade. With dynamic sampling, repeat until enough prompts have different rewards.
    sampled = sample_rollouts(context, draw_prompts, timer)
    rollouts = sampled.trained
    # 2. Compute log-probabilities of policy and reference, and values, unless the loss computes all that is needed.
    if config.needs_logprobs(sum(one.count_steps(len(rollouts)) for one in passes)):
        with context.autocast():
            logprobs = compute_logprobs(context, rollouts)
    else:
        logprobs = gather_sampler_logprobs(rollouts)
    timer.stop("logprob")
    # 3. Grade some passing completions again, on held-out inputs; this is measured, not trained on.
    probe = probe_rewards(context.executor, rollouts, sampled.streams, config, iteration=sampled.batch.iteration)
    timer.stop("execute")
    # 4. Compute advantages and returns.
    targets = compute_advantages(rollouts, logprobs, config, context.kl_coef, context.sum_over_ranks)
    # 5. Measure, and build minibatches.
    if context.on_rollouts is not None:
        context.on_rollouts(sampled, targets)
    stats = measure_rollouts(sampled, logprobs, targets, probe, config, timer.seconds, context.sum_over_ranks)
    by_sequence = config.algorithm.loss_aggregation == "seq-mean-token-sum-norm"
    return build_minibatches(
        rollouts,
        logprobs,
        targets,
        stats,
        sampled.batch,
        passes,
        get_pad_id(context.tokenizer),
        max_length=config.sampling.max_new_tokens if by_sequence else None,
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
    config: RolloutConfig,
    kl_coef: float,
    sum_over_ranks: SumOverRanks = no_reduce,
) -> Advantages:
    """Compute advantages and returns from rewards, and which completions are trained.

    A completion whose reward is unknown after an infra fault is excluded from the loss, from the statistics of its
    group and from whitening.

    Args:
        rollouts: N rollouts.
        logprobs: [N, L] each.
        config: Estimator, KL penalty and filters.
        kl_coef: Current KL coefficient.
        sum_over_ranks: Whitening is over the completions of all ranks.
    """
    algorithm, kl = config.algorithm, config.kl
    known = torch.tensor([rollout.reward is not None for rollout in rollouts])
    rewards = score_rollouts(rollouts, needs_pass=algorithm.partial_credit_needs_pass)
    groups = number_groups(rollouts)
    penalty = kl_estimate(logprobs.logprobs, logprobs.ref_logprobs, kl.estimator)
    in_reward = kl_coef if kl.apply_to == "reward" else 0.0
    per_token = token_rewards(rewards, penalty, logprobs.mask, kl_coef=in_reward)
    advantages, returns = estimate_advantages(per_token, logprobs, known, groups, algorithm, config.critic)
    zero_variance = find_zero_variance_groups(rewards, known, groups)
    trained = known.clone()
    if algorithm.filter_zero_variance_groups:
        trained &= ~zero_variance
    if algorithm.mask_truncated_completions:
        trained &= torch.tensor([rollout.completion.finished for rollout in rollouts])
    loss_mask = logprobs.mask & trained[:, None]
    if algorithm.whiten:
        advantages = whiten(advantages, loss_mask, sums=sum_over_ranks(moment_sums(advantages, loss_mask)))
    return Advantages(advantages, returns, loss_mask, logprobs.mask & known[:, None], zero_variance)


def get_pad_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """Return the padding token, which `load_policy` has checked."""
    assert isinstance(tokenizer.pad_token_id, int)
    return tokenizer.pad_token_id
