"""One iteration of reinforcement learning up to its optimizer steps: from prompts to minibatches.

`collect_rollouts` is the algorithm; the functions below it are its steps. Nothing here changes the policy, so the
result is a function of the policy, the prompts and (seed, iteration).

Shapes: `N` completions of an iteration on this rank, padded on the right to `L` tokens.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from datamodules.batches import MinibatchConfig, PromptBatch, RolloutBatch, TaskPrompt
from datamodules.prefix_packing import completion_mask, pack_completions
from executor.api import Executor
from executor.grading.grader import Grading
from executor.types import Outcome, Submission
from lightning_modules.generation.generate import generate
from lightning_modules.generation.sampler import Completion, stream_id
from lightning_modules.models.compute import uses_flex_attention
from lightning_modules.models.packed_forward import packed_forward
from lightning_modules.models.policy import Policy
from lightning_modules.models.reference import ReferencePolicy
from lightning_modules.rl.advantages import estimate_advantages, find_zero_variance_groups, token_rewards
from lightning_modules.rl.config import RolloutConfig
from lightning_modules.rl.custom_reward import add_custom_reward
from lightning_modules.rl.kl import kl_estimate
from lightning_modules.rl.metrics import measure_rollouts
from lightning_modules.rl.minibatches import build_minibatches
from lightning_modules.rl.numerics import SumOverRanks, moment_sums, no_reduce, token_logprobs, whiten
from lightning_modules.rl.records import Advantages, Rollout, TokenLogprobs
from lightning_modules.rl.reward_probe import probe_rewards


class Runtime(NamedTuple):
    """What the trainer provides to `collect_rollouts`."""

    decoding_dtype: torch.dtype | None
    """Of the weights while decoding; None = as they are."""
    autocast: Callable[[], AbstractContextManager]
    """The precision of training, in which log-probabilities are computed."""
    sum_over_ranks: SumOverRanks
    on_completion: Callable[[], None]
    """Called when a completion ends, before it is graded."""


@torch.no_grad()
def collect_rollouts(
    policy: Policy,
    reference: ReferencePolicy,
    tokenizer: PreTrainedTokenizerFast,
    executor: Executor,
    batch: PromptBatch,
    config: RolloutConfig,
    minibatches: MinibatchConfig,
    runtime: Runtime,
    *,
    kl_coef: float,
) -> list[RolloutBatch]:
    """Complete and grade the prompts of an iteration, and build the minibatches to train on.

    Returns:
        The micro-batches of this rank, in the order of training.
    """
    pad_id = tokenizer.pad_token_id
    assert isinstance(pad_id, int)  # checked when the tokenizer is loaded
    timer = StageTimer()
    streams = [stream_id(prompt.task_id, n) for prompt, n in zip(batch.prompts, batch.copy_numbers, strict=True)]
    with executor.grading(rewards=config.reward) as grading:
        # 1. Generate. Each program runs as soon as its completion ends, while others are still being generated.
        grader = CompletionGrader(grading, batch.prompts, runtime.on_completion)
        completions = generate(
            policy.sampling_model(runtime.decoding_dtype),
            tokenizer,
            [prompt.prompt_ids for prompt in batch.prompts],
            config.sampling,
            stream_ids=streams,
            seed=config.seed,
            iteration=batch.iteration,
            batch_size=config.rollout_batch_size,
            dtype=runtime.decoding_dtype,
            on_completion=grader.add,
        )
        timer.stop("generate")
        # 2. Compute log-probabilities of policy and reference, and values, while the last programs run.
        with runtime.autocast():
            logprobs = compute_logprobs(policy, reference, batch.prompts, completions, config, pad_id)
        timer.stop("logprob")
        # 3. Grade: wait for the outcomes.
        outcomes = grader.outcomes()
    # 4. Add the custom reward. The probe re-grades some passing completions, which is measured and not trained on.
    if config.reward_function is not None:
        outcomes = add_custom_reward(outcomes, batch.prompts, completions, config.reward_function)
    rollouts = group_rollouts(batch.prompts, completions, outcomes)
    probe = probe_rewards(executor, rollouts, streams, config, iteration=batch.iteration)
    timer.stop("execute")
    # 5. Compute advantages and returns.
    targets = compute_advantages(rollouts, logprobs, config, kl_coef=kl_coef, sum_over_ranks=runtime.sum_over_ranks)
    # 6. Measure, and build minibatches.
    stats = measure_rollouts(
        rollouts,
        logprobs,
        targets,
        probe,
        config,
        timer.seconds,
        samples_per_prompt=batch.samples_per_prompt,
        sum_over_ranks=runtime.sum_over_ranks,
    )
    return build_minibatches(rollouts, logprobs, targets, stats, batch, minibatches, pad_id=pad_id)


class StageTimer:
    """Measures the wall time of successive stages, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, stage: str) -> None:
        """Record the time since the previous call."""
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now


class CompletionGrader:
    """Submits completions to a grading in the order in which they end, and returns outcomes in that of the prompts.

    Args:
        grading: Runs the programs.
        prompts: N prompts, one for each completion.
        on_completion: Called when a completion ends.
    """

    def __init__(self, grading: Grading, prompts: Sequence[TaskPrompt], on_completion: Callable[[], None]) -> None:
        self._grading = grading
        self._tasks = [prompt.task for prompt in prompts]
        self._on_completion = on_completion
        self._positions: dict[int, int] = {}

    def add(self, index: int, completion: Completion) -> None:
        """Start grading the completion of prompt `index`; a callback of `generate`."""
        submission = Submission(task=self._tasks[index], completion=completion.text)
        self._positions[index] = self._grading.add(submission)
        self._on_completion()

    def outcomes(self) -> list[Outcome]:
        """Wait for the N outcomes; all completions have been added."""
        outcomes = self._grading.outcomes()
        return [outcomes[self._positions[index]] for index in range(len(self._tasks))]


def compute_logprobs(
    policy: Policy,
    reference: ReferencePolicy,
    prompts: Sequence[TaskPrompt],
    completions: Sequence[Completion],
    config: RolloutConfig,
    pad_id: int,
) -> TokenLogprobs:
    """Compute log-probabilities of policy and reference and values, by the forward pass that training uses.

    All ranks run the same number of forward passes, of `config.logprob_batch_size` completions each.

    Args:
        policy: The policy that sampled.
        reference: The reference policy.
        prompts: N prompts; equal prompts within a forward pass are computed once.
        completions: N completions, none empty.
        config: Batch size and sampling temperature.
        pad_id: Padding token.

    Returns:
        [N, L] each, on the CPU in float32.
    """

    def logprobs_of(logits: Tensor, tokens: Tensor) -> tuple[Tensor]:
        return (token_logprobs(logits, tokens, temperature=config.sampling.temperature),)

    mask = completion_mask(torch.tensor([len(completion.token_ids) for completion in completions]))
    zeros = torch.zeros(mask.shape)
    result = TokenLogprobs(zeros, zeros.clone(), zeros.clone(), mask)
    flex = uses_flex_attention(policy.causal_lm)
    for first in range(0, len(prompts), config.logprob_batch_size):
        part = slice(first, first + config.logprob_batch_size)
        packed = pack_completions(
            [prompt.prompt_ids for prompt in prompts[part]],
            [completion.token_ids for completion in completions[part]],
            pad_id=pad_id,
        )
        predicted = packed.predicts_completion()
        rows, positions = packed.to(policy.causal_lm.device), predicted.to(policy.causal_lm.device)
        (logprobs,), values = packed_forward(policy, rows, positions, logprobs_of, flex=flex)
        (ref_logprobs,) = packed_forward(reference.forward, rows, positions, logprobs_of, flex=flex)
        for target, source in zip(result, (logprobs, ref_logprobs, values), strict=False):
            if source is not None:
                scores = torch.zeros(predicted.shape).masked_scatter_(predicted, source.float().cpu())
                gathered = packed.gather(scores)
                target[part, : gathered.shape[1]] = gathered
    return result


def group_rollouts(
    prompts: Sequence[TaskPrompt], completions: Sequence[Completion], outcomes: Sequence[Outcome]
) -> list[Rollout]:
    """Join completions with their outcomes and number the tasks in the order of their first completion."""
    groups: dict[str, int] = {}
    return [
        Rollout(prompt, groups.setdefault(prompt.task_id, len(groups)), completion, outcome)
        for prompt, completion, outcome in zip(prompts, completions, outcomes, strict=True)
    ]


def compute_advantages(
    rollouts: Sequence[Rollout],
    logprobs: TokenLogprobs,
    config: RolloutConfig,
    *,
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
    rewards = torch.tensor([0.0 if rollout.reward is None else rollout.reward.total for rollout in rollouts])
    groups = torch.tensor([rollout.group for rollout in rollouts])
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
    return Advantages(advantages, returns, loss_mask, zero_variance)
