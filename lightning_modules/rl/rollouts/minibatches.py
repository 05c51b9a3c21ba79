"""Divides the rollouts of an iteration into packed minibatches, in an order that is a function of (seed, iteration)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from datamodules.batches import MinibatchConfig, PromptBatch, RolloutBatch, RolloutStats
from datamodules.encoding.prefix_packing import pack_completions
from datamodules.seeding import permutation
from lightning_modules.rl.config import CriticConfig, LossAggregation
from lightning_modules.rl.objectives.numerics import SumOverRanks, no_reduce
from lightning_modules.rl.rollouts.records import Advantages, Rollout, TokenLogprobs

TOKEN_ARRAYS = ("loss_mask", "old_logprobs", "ref_logprobs", "values", "advantages", "returns")
"""Fields of `RolloutBatch` with a number per token, in order."""


def plan_passes(
    minibatches: MinibatchConfig, critic: CriticConfig | None, iteration: int, world_size: int
) -> list[MinibatchConfig]:
    """Put the critic's passes over the rollouts before the policy's, which are left out while the critic warms up.

    Args:
        minibatches: Of the policy, on this rank.
        critic: Its settings; None = no critic.
        iteration: From 0.
        world_size: Number of ranks.

    Raises:
        ValueError: The critic's minibatches do not divide among ranks and micro-batches.
    """
    if critic is None:
        return [minibatches]
    size = minibatches.size
    if critic.minibatch_size is not None:
        size, rest = divmod(critic.minibatch_size, world_size)
        if rest or size % minibatches.num_micro_batches:
            raise ValueError(
                f"critic.minibatch_size {critic.minibatch_size} does not divide into {world_size} ranks x "
                f"accumulate_grad_batches {minibatches.num_micro_batches}"
            )
    own = minibatches._replace(size=size, num_epochs=critic.num_epochs, trains_critic=True)
    return [own] if iteration < critic.warmup_iterations else [own, minibatches]


def build_minibatches(
    rollouts: Sequence[Rollout],
    logprobs: TokenLogprobs,
    targets: Advantages,
    stats: RolloutStats,
    batch: PromptBatch,
    configs: Sequence[MinibatchConfig],
    pad_id: int,
    aggregation: LossAggregation = "token-mean",
    max_length: int = 1,
    sum_over_ranks: SumOverRanks = no_reduce,
) -> list[RolloutBatch]:
    """Build the micro-batches of an iteration in the order of training.

    Lightning divides the loss of each micro-batch by their number, so `num_tokens` of each is that share of the trained
    tokens of its optimizer step: the losses of the micro-batches average to that of the whole minibatch.

    Args:
        rollouts: N rollouts.
        logprobs: [N, L] each.
        targets: [N, L] each.
        stats: Of the iteration.
        batch: The prompts of the rollouts.
        configs: Passes over the rollouts, in the order of training.
        pad_id: Padding token.
        aggregation: Of the policy loss over a minibatch.
        max_length: Maximum tokens of a completion, for `seq-mean-token-sum-norm`.
        sum_over_ranks: Sums a tensor over all ranks, for aggregations over completions.
    """
    tokens = {
        "loss_mask": targets.loss_mask,
        "old_logprobs": logprobs.logprobs,
        "ref_logprobs": logprobs.ref_logprobs,
        "values": logprobs.values,
        "advantages": targets.advantages.clone(),
        "returns": targets.returns,
    }
    batches: list[RolloutBatch] = []
    steps = [
        (config, minibatch)
        for config in configs
        for minibatch in plan_minibatches(len(rollouts), batch.samples_per_prompt, batch.iteration, config)
    ]
    masks = [(targets.value_mask if config.trains_critic else targets.loss_mask)[part] for config, part in steps]
    if aggregation != "token-mean":
        numbers = [[float(mask.sum()), float(mask.any(1).sum())] for mask in masks]
        counts = sum_over_ranks(torch.tensor(numbers, dtype=torch.float64))
    for step, (config, minibatch) in enumerate(steps):
        mask = tokens["loss_mask"] = targets.value_mask if config.trains_critic else targets.loss_mask
        num_tokens = int(mask[minibatch].sum()) / config.num_micro_batches
        if aggregation != "token-mean":
            weights = completion_weights(masks[step], counts[step], aggregation, max_length)
            tokens["advantages"][minibatch] = targets.advantages[minibatch] * weights[:, None]
        size = -(-len(minibatch) // config.num_micro_batches)
        for first in range(0, len(minibatch), size):
            part = minibatch[first : first + size]
            chosen = [i for i in part if mask[i].any()] or part[:1]  # the others have no gradient
            collated = collate([rollouts[i] for i in chosen], {name: t[chosen] for name, t in tokens.items()}, pad_id)
            if logprobs.from_sampler:
                collated = collated._replace(old_logprobs=None)
            share = torch.tensor(num_tokens)
            batches.append(collated._replace(num_tokens=share, stats=stats, trains_critic=config.trains_critic))
    return batches


def completion_weights(loss_mask: Tensor, counts: Tensor, aggregation: LossAggregation, max_length: int) -> Tensor:
    """Return the weights of completions with which a mean over tokens is a mean over completions.

    Args:
        loss_mask: [B, L] bool, the trained tokens of an optimizer step on this rank.
        counts: [2] trained tokens and trained completions of the step, over all ranks.
        aggregation: How the tokens of a completion are put together; not `token-mean`.
        max_length: Maximum tokens of a completion.

    Returns:
        [B].
    """
    lengths = {
        "seq-mean-token-mean": loss_mask.sum(1).clamp(min=1),
        "seq-mean-token-sum": torch.ones(len(loss_mask)),
        "seq-mean-token-sum-norm": torch.full((len(loss_mask),), float(max_length)),
    }[aggregation]
    num_tokens, num_completions = counts.tolist()
    return num_tokens / (max(num_completions, 1) * lengths)


def plan_minibatches(
    num_completions: int, samples_per_prompt: int, iteration: int, config: MinibatchConfig
) -> list[list[int]]:
    """Assign completions to minibatches; every epoch has the prompts in another order.

    The completions of a prompt stay together, so that the prompt is computed once for all in the same minibatch.

    Returns:
        `num_epochs * ceil(num_completions / size)` lists of indices.
    """
    plan, name = [], "critic_minibatches" if config.trains_critic else "minibatches"
    for epoch in range(config.num_epochs):
        prompts = permutation(num_completions // samples_per_prompt, name, config.seed, iteration, epoch)
        order = [prompt * samples_per_prompt + i for prompt in prompts.tolist() for i in range(samples_per_prompt)]
        plan += [order[first : first + config.size] for first in range(0, num_completions, config.size)]
    return plan


def collate(rollouts: Sequence[Rollout], tokens: Mapping[str, Tensor], pad_id: int) -> RolloutBatch:
    """Pack rollouts into rows and move the numbers [N, L] of their tokens to where the tokens are predicted."""
    packed = pack_completions(
        [rollout.prompt.prompt_ids for rollout in rollouts],
        [rollout.completion.token_ids for rollout in rollouts],
        pad_id=pad_id,
    )
    return RolloutBatch(
        packed.input_ids,
        packed.position_ids,
        packed.segment_ids,
        packed.branch_ids,
        *(packed.scatter(tokens[name]) for name in TOKEN_ARRAYS),
        num_tokens=tokens["loss_mask"].sum().float(),
    )
