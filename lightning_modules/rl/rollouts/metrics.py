"""Metrics of the rollouts of an iteration, by tag, over all ranks. Nothing here affects training.

Ranks hold different numbers of rewards and tokens, so means are computed from sums and counts over all ranks. A mean is
nan if nothing was counted on any rank. All ranks must call these functions with the same tags.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields

import torch
from torch import Tensor

from datamodules.batches import RolloutStats
from executor.grading.pass_at_k import pass_at_k
from executor.grading.rewards import RewardConfig
from executor.types import Status
from lightning_modules.rl.config import RLConfig
from lightning_modules.rl.custom_reward import CUSTOM_PART
from lightning_modules.rl.objectives.advantages import find_zero_variance_groups, overlong_penalties
from lightning_modules.rl.objectives.kl import kl_k1, kl_k3
from lightning_modules.rl.objectives.numerics import (
    SumOverRanks,
    explained_variance,
    masked_mean,
    moment_sums,
    variance,
)
from lightning_modules.rl.objectives.rollout_correction import correction_metrics, correction_sums
from lightning_modules.rl.rollouts.partial_credit import score_rollouts
from lightning_modules.rl.rollouts.records import (
    Advantages,
    Rollout,
    SampledRollouts,
    TokenLogprobs,
    number_groups,
    scatter_sampler_logprobs,
)
from lightning_modules.rl.rollouts.reward_probe import ProbeCounts

REWARD_PARTS = tuple(field.name.removesuffix("_coef") for field in fields(RewardConfig))
"""The same on all ranks, also on one without any reward, because ranks must log the same tags."""
MAX_DEPTH = 6
"""Of a composition; deeper tasks count as this deep."""
TotalAndCount = tuple[float, float]


def measure_rollouts(
    sampled: SampledRollouts,
    logprobs: TokenLogprobs,
    targets: Advantages,
    probe: ProbeCounts | None,
    config: RLConfig,
    seconds: Mapping[str, float],
    sum_over_ranks: SumOverRanks,
) -> RolloutStats:
    """Measure the rollouts of an iteration.

    Args:
        sampled: Of this rank. Rewards, statuses, lengths and pass@k (k = 1 and the completions per prompt) are measured
            on all generated rollouts, the rest on those that advantages were computed for.
        logprobs: [N, L] each.
        targets: [N, L] each.
        probe: Counts of the reward probe; None if it is off.
        config: Whether there are a critic and a custom reward.
        seconds: Wall time of the stages `prompts`, `generate`, `logprob` and `execute`, and with staleness of `idle`.
        sum_over_ranks: Sums a tensor over all ranks.
    """
    rollouts, generated = sampled.trained, sampled.generated
    known = torch.tensor([rollout.reward is not None for rollout in rollouts])
    kl, num_rewarded = sequence_kl(logprobs, known, sum_over_ranks)
    returns = None if config.critic is None else targets.returns
    num_tokens = sum(len(rollout.completion.token_ids) for rollout in generated)
    trained = targets.loss_mask.any(1)
    fractions: dict[str, TotalAndCount] = {
        "rollout/zero_variance_frac": (_count_zero_variance(generated, config), len(generated)),
        "rollout/trained_frac": (float(trained.sum()), len(rollouts)),
        "rollout/num_gen_batches": (sampled.num_batches, 1),
        **_sum_pass_at_k(generated, sorted({1, sampled.batch.samples_per_prompt})),
    }
    if config.rollout.staleness:
        behind = [sampled.batch.iteration - rollout.completion.policy_version for rollout in rollouts]
        fractions["rollout/staleness"] = (sum(behind), len(rollouts))
    if config.algorithm.overlong_buffer:
        lengths = torch.tensor([len(rollout.completion.token_ids) for rollout in generated])
        penalties = overlong_penalties(lengths, config.sampling.max_new_tokens, config.algorithm.overlong_buffer)
        fractions["reward/overlong_penalty"] = (float(penalties.sum()), len(generated))
    if config.reward_function is not None:
        custom = [rollout.reward.parts[CUSTOM_PART] for rollout in generated if rollout.reward is not None]
        fractions["reward/custom"] = (sum(custom), len(custom))
    metrics = (
        completion_metrics(generated, sum_over_ranks)
        | ({} if logprobs.from_sampler else token_metrics(rollouts, logprobs, returns, known, sum_over_ranks))
        | means_over_ranks(fractions, sum_over_ranks)
        | ({} if probe is None else probe.metrics(sum_over_ranks))
        | {f"time/{stage}_s": duration for stage, duration in seconds.items()}
        | {"throughput/rollout_tokens_per_s": num_tokens / seconds["generate"]}
        | ({} if logprobs.from_sampler else {"kl/sequence": kl})
        | _measure_correction(targets, logprobs.mask, sum_over_ranks)
    )
    by_depth = count_by_depth(generated, sum_over_ranks)
    rates = {f"reward/pass_rate_depth_{depth}": passed / graded for depth, (passed, graded) in by_depth.items()}
    return_sums = sum_over_ranks(moment_sums(targets.returns, targets.value_mask)).tolist()
    return RolloutStats({**metrics, **rates}, kl, num_rewarded, by_depth, tuple(return_sums))


def count_by_depth(rollouts: Sequence[Rollout], sum_over_ranks: SumOverRanks) -> dict[int, tuple[int, int]]:
    """Count the completions that passed and those that were graded, by depth of their task, over all ranks.

    Returns:
        Only depths of compositions (1 to `MAX_DEPTH`) with graded completions, so all ranks return the same.
    """
    counts = torch.zeros(MAX_DEPTH + 1, 2, dtype=torch.float64)
    for rollout in rollouts:
        if rollout.outcome.status is not Status.INFRA:
            counts[min(rollout.prompt.depth, MAX_DEPTH)] += torch.tensor([float(rollout.outcome.passed), 1.0])
    totals = enumerate(sum_over_ranks(counts).tolist())
    return {depth: (int(passed), int(graded)) for depth, (passed, graded) in totals if depth and graded}


def completion_metrics(rollouts: Sequence[Rollout], sum_over_ranks: SumOverRanks) -> dict[str, float]:
    """Measure rewards and their parts, statuses and lengths; unknown rewards are ignored."""
    rewards = [rollout.reward for rollout in rollouts if rollout.reward is not None]
    totals = torch.tensor([reward.total for reward in rewards], dtype=torch.float64)
    statuses = Counter(rollout.outcome.status for rollout in rollouts)
    num, num_known = len(rollouts), len(rewards)
    parts = {
        "reward/mean": (float(totals.sum()), num_known),
        "reward/pass_rate": (statuses[Status.PASSED], num_known),
        **{f"reward/{name}": (sum(reward.parts[name] for reward in rewards), num_known) for name in REWARD_PARTS},
        **{f"status/rollout/{status}": (statuses[status], num) for status in Status if status is not Status.PASSED},
        "completions/mean_length": (sum(len(rollout.completion.token_ids) for rollout in rollouts), num),
        "completions/mean_prompt_length": (sum(len(rollout.prompt.prompt_ids) for rollout in rollouts), num),
        "completions/eos_frac": (sum(rollout.completion.finished for rollout in rollouts), num),
    }
    num_infra = sum_over_ranks(torch.tensor([statuses[Status.INFRA]], dtype=torch.float64))
    return means_over_ranks(parts, sum_over_ranks) | {
        "reward/std": float(variance(totals, sum_over_ranks).sqrt()),
        "rollout/num_infra": float(num_infra),
    }


def token_metrics(
    rollouts: Sequence[Rollout],
    logprobs: TokenLogprobs,
    returns: Tensor | None,
    known: Tensor,
    sum_over_ranks: SumOverRanks,
) -> dict[str, float]:
    """Measure the KL from the reference, the difference between sampling and training log-probabilities, and values.

    Args:
        rollouts: N rollouts.
        logprobs: [N, L] each.
        returns: [N, L]; None without a critic.
        known: [N] bool, True if the completion has a reward.
        sum_over_ranks: Sums a tensor over all ranks.
    """
    known_tokens = logprobs.mask & known[:, None]
    sampled = scatter_sampler_logprobs(rollouts, logprobs.mask)
    parts = {
        "kl/k1": _total_and_count(kl_k1(logprobs.logprobs, logprobs.ref_logprobs), known_tokens),
        "kl/k3": _total_and_count(kl_k3(logprobs.logprobs, logprobs.ref_logprobs), known_tokens),
        "rollout/logprob_diff": _total_and_count((sampled - logprobs.logprobs).abs(), logprobs.mask),
    }
    if returns is None:
        return means_over_ranks(parts, sum_over_ranks)
    parts["value/mean"] = _total_and_count(logprobs.values, known_tokens)
    explained = explained_variance(logprobs.values, returns, known_tokens, sum_over_ranks)
    return means_over_ranks(parts, sum_over_ranks) | {"value/explained_variance": float(explained)}


def sequence_kl(logprobs: TokenLogprobs, known: Tensor, sum_over_ranks: SumOverRanks) -> tuple[float, int]:
    """Return the mean KL of a completion with a reward (k1 summed over its tokens, nats), and their number."""
    per_completion = (kl_k1(logprobs.logprobs, logprobs.ref_logprobs) * logprobs.mask).sum(1)
    count = int(known.sum())
    total = float(masked_mean(per_completion, known)) * count
    sums = sum_over_ranks(torch.tensor([total, count], dtype=torch.float64))
    return float(sums[0] / sums[1].clamp(min=1)), int(sums[1])


def means_over_ranks(parts: Mapping[str, TotalAndCount], sum_over_ranks: SumOverRanks) -> dict[str, float]:
    """Divide the totals of all ranks by the counts of all ranks; all ranks pass the same tags in the same order."""
    sums = sum_over_ranks(torch.tensor(list(parts.values()), dtype=torch.float64)).tolist()
    return {tag: total / count if count else math.nan for tag, (total, count) in zip(parts, sums, strict=True)}


def _sum_pass_at_k(rollouts: Sequence[Rollout], ks: Sequence[int]) -> dict[str, TotalAndCount]:
    """Sum the unbiased pass@k of the tasks that have at least k graded completions."""
    graded: dict[int, list[bool]] = {}
    for rollout in rollouts:
        if rollout.outcome.status is not Status.INFRA:
            graded.setdefault(rollout.group, []).append(rollout.outcome.passed)
    sums = {}
    for k in ks:
        estimates = [pass_at_k(len(passed), sum(passed), k) for passed in graded.values() if len(passed) >= k]
        sums[f"rollout/pass_at_{k}"] = (sum(estimates), len(estimates))
    return sums


def _count_zero_variance(rollouts: Sequence[Rollout], config: RLConfig) -> int:
    """Count the rollouts of groups whose known rewards, as they are trained on, are all equal."""
    known = torch.tensor([rollout.reward is not None for rollout in rollouts])
    rewards = score_rollouts(rollouts, needs_pass=config.algorithm.partial_credit_needs_pass)
    return int(find_zero_variance_groups(rewards, known, number_groups(rollouts)).sum())


def _measure_correction(targets: Advantages, mask: Tensor, sum_over_ranks: SumOverRanks) -> dict[str, float]:
    if targets.correction is None:
        return {}
    sums = sum_over_ranks(correction_sums(targets.correction, mask))
    return correction_metrics(sums, float(targets.correction.ratios.max()))


def _total_and_count(values: Tensor, mask: Tensor) -> TotalAndCount:
    weights = mask.to(values.dtype)
    return float((values * weights).sum()), float(weights.sum())
