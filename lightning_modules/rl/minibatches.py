"""Divides the rollouts of an iteration into packed minibatches, in an order that is a function of (seed, iteration)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from datamodules.batches import MinibatchConfig, PromptBatch, RolloutBatch, RolloutStats
from datamodules.prefix_packing import pack_completions
from datamodules.sampler import permutation
from lightning_modules.rl.records import Advantages, Rollout, TokenLogprobs

TOKEN_ARRAYS = ("loss_mask", "old_logprobs", "ref_logprobs", "values", "advantages", "returns")
"""Fields of `RolloutBatch` with a number per token, in order."""


def build_minibatches(
    rollouts: Sequence[Rollout],
    logprobs: TokenLogprobs,
    targets: Advantages,
    stats: RolloutStats,
    batch: PromptBatch,
    config: MinibatchConfig,
    *,
    pad_id: int,
) -> list[RolloutBatch]:
    """Build the micro-batches of an iteration in the order of training.

    Lightning divides the loss of each micro-batch by their number, so `num_tokens` of each is that share of the trained
    tokens of its optimizer step: the losses of the micro-batches average to that of the whole minibatch.
    """
    tokens = {
        "loss_mask": targets.loss_mask,
        "old_logprobs": logprobs.logprobs,
        "ref_logprobs": logprobs.ref_logprobs,
        "values": logprobs.values,
        "advantages": targets.advantages,
        "returns": targets.returns,
    }
    batches = []
    for minibatch in plan_minibatches(len(rollouts), batch.samples_per_prompt, batch.iteration, config):
        num_tokens = int(targets.loss_mask[minibatch].sum()) / config.num_micro_batches
        size = -(-len(minibatch) // config.num_micro_batches)
        for first in range(0, len(minibatch), size):
            chosen = minibatch[first : first + size]
            collated = collate([rollouts[i] for i in chosen], {name: t[chosen] for name, t in tokens.items()}, pad_id)
            batches.append(collated._replace(num_tokens=torch.tensor(num_tokens), stats=stats))
    return batches


def plan_minibatches(
    num_completions: int, samples_per_prompt: int, iteration: int, config: MinibatchConfig
) -> list[list[int]]:
    """Assign completions to minibatches; every epoch has the prompts in another order.

    The completions of a prompt stay together, so that the prompt is computed once for all in the same minibatch.

    Returns:
        `num_epochs * ceil(num_completions / size)` lists of indices.
    """
    plan = []
    for epoch in range(config.num_epochs):
        prompts = permutation(num_completions // samples_per_prompt, "minibatches", config.seed, iteration, epoch)
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
