"""The sampling of an iteration: generates completions, grades them, and chooses the groups to train on.

With dynamic sampling (DAPO, arXiv 2503.14476), groups whose rewards are all equal are replaced by those of further
prompts. Nothing here computes advantages.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from datamodules.batches import PromptBatch, TaskPrompt
from executor.api import Executor
from executor.grading.grader import Grading
from executor.types import Outcome, Status, Submission
from lightning_modules.generation.rollout_engine import RolloutEngine
from lightning_modules.generation.sampler import Completion, stream_id
from lightning_modules.models.policy import Policy
from lightning_modules.models.reference import ReferencePolicy
from lightning_modules.rl.config import RLConfig
from lightning_modules.rl.custom_reward import add_custom_reward
from lightning_modules.rl.objectives.numerics import SumOverRanks
from lightning_modules.rl.rollouts.partial_credit import score_rollouts
from lightning_modules.rl.rollouts.records import Advantages, Rollout, SampledRollouts


class RolloutContext(NamedTuple):
    """The models, settings and services that `lightning_modules.rl.rollout` uses."""

    policy: Policy
    reference: ReferencePolicy
    tokenizer: PreTrainedTokenizerFast
    executor: Executor
    engine: RolloutEngine
    policy_version: int
    """Iterations that the policy that samples was trained for."""
    config: RLConfig
    kl_coef: float
    """Current KL coefficient."""
    decoding_dtype: torch.dtype | None
    """Of the weights while decoding; None = as they are."""
    autocast: Callable[[], AbstractContextManager]
    """The precision of training, in which log-probabilities are computed."""
    sum_over_ranks: SumOverRanks
    start_progress: Callable[[str, int], Callable[[], None]]
    """Called with a label and a number of completions; returns what is called as each of them ends."""
    on_rollouts: Callable[[SampledRollouts, Advantages], None] | None = None
    """Called with the rollouts of the iteration, to show or store them."""


class StageTimer:
    """Measures the wall time of successive stages, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, stage: str) -> None:
        """Add the time since the previous call to a stage."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


def sample_rollouts(
    context: RolloutContext,
    draw_prompts: Callable[[int], PromptBatch],
    timer: StageTimer,
    causal_lm: PreTrainedModel | None = None,
) -> SampledRollouts:
    """Generate and grade completions of the prompts of an iteration, and of further prompts with dynamic sampling.

    All ranks sample the same number of batches: until each has enough groups with different rewards, or
    `max_gen_batches`.

    Args:
        context: Engine, executor and settings.
        draw_prompts: Returns the prompts of this rank for 0, and further ones for 1, 2, ...
        timer: Of the iteration.
        causal_lm: Samples; None = the policy.
    """
    first = batch = draw_prompts(0)
    timer.stop("prompts")
    causal_lm = causal_lm or context.policy.sampling_model(context.decoding_dtype)
    context.engine.update_weights(causal_lm, version=context.policy_version)
    num_wanted, size = len(first.prompts), first.samples_per_prompt
    generated: list[Rollout] = []
    streams: list[int] = []
    num_batches = 0
    needs_pass = context.config.algorithm.partial_credit_needs_pass
    while True:
        names = [stream_id(prompt.task_id, n) for prompt, n in zip(batch.prompts, batch.copy_numbers, strict=True)]
        first_group = 1 + max((rollout.group for rollout in generated), default=-1)
        generated += generate_and_grade(context, batch, names, timer, first_group=first_group)
        streams += names
        num_batches += 1
        chosen = choose_groups(generated, num_wanted, size, needs_pass=needs_pass)
        num_missing = num_wanted - sum(differs for _, differs in chosen) * size
        if num_batches >= context.config.algorithm.max_gen_batches:
            break
        if float(context.sum_over_ranks(torch.tensor([num_missing], dtype=torch.float64))) == 0:
            break
        batch = draw_prompts(num_batches)
        timer.stop("prompts")
    context.engine.sleep()
    places = [start + i for start, _ in chosen for i in range(size)]
    return SampledRollouts([generated[i] for i in places], [streams[i] for i in places], generated, num_batches, first)


def choose_groups(
    rollouts: Sequence[Rollout], num_wanted: int, size: int, *, needs_pass: bool = False
) -> list[tuple[int, bool]]:
    """Choose the groups that are trained: those with different rewards first, both kinds in the order of sampling.

    Args:
        rollouts: In groups of `size` that are next to each other; at least `num_wanted` of them.
        num_wanted: Rollouts to choose.
        size: Completions per prompt.
        needs_pass: Withhold partial credit in groups without a pass.

    Returns:
        For each chosen group, the position of its first rollout and whether its rewards differ.
    """
    groups = []
    for first in range(0, len(rollouts), size):
        known = [rollout for rollout in rollouts[first : first + size] if rollout.reward is not None]
        scores = set(score_rollouts(known, needs_pass=needs_pass).tolist()) if known else set()
        groups.append((first, len(scores) > 1))
    if len(rollouts) > num_wanted:
        groups.sort(key=lambda group: not group[1])
    return groups[: num_wanted // size]


def generate_and_grade(
    context: RolloutContext,
    batch: PromptBatch,
    streams: Sequence[int],
    timer: StageTimer,
    *,
    first_group: int,
) -> list[Rollout]:
    """Generate a completion of each prompt and grade it; each program runs as soon as its completion ends.

    Args:
        context: Settings, executor, and the engine with the policy's weights.
        batch: N prompts.
        streams: [N] names of random numbers.
        timer: Of the iteration.
        first_group: Number of the first group.
    """
    config = context.config
    on_completion = context.start_progress(f"iteration {batch.iteration}", len(batch.prompts))
    with context.executor.grading(rewards=config.reward) as grading:
        grader = CompletionGrader(grading, batch.prompts, on_completion)
        completions = context.engine.generate(
            [prompt.prompt_ids for prompt in batch.prompts],
            config.sampling,
            stream_ids=streams,
            seed=config.seed,
            iteration=batch.iteration,
            on_completion=grader.add,
        )
        timer.stop("generate")
        outcomes = grader.outcomes()
    if config.reward_function is not None:
        outcomes = add_custom_reward(outcomes, batch.prompts, completions, config.reward_function)
    timer.stop("execute")
    return group_rollouts(batch.prompts, completions, outcomes, first_group=first_group)


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
        """Start grading the completion of prompt `index`; a callback of the engine."""
        submission = Submission(task=self._tasks[index], completion=completion.text)
        self._positions[index] = self._grading.add(submission)
        self._on_completion()

    def outcomes(self) -> list[Outcome]:
        """Wait for the N outcomes; all completions have been added."""
        outcomes = self._grading.outcomes()
        return [outcomes[self._positions[index]] for index in range(len(self._tasks))]


def group_rollouts(
    prompts: Sequence[TaskPrompt],
    completions: Sequence[Completion],
    outcomes: Sequence[Outcome],
    *,
    first_group: int = 0,
) -> list[Rollout]:
    """Join completions with their outcomes and number the tasks in the order of their first completion."""
    groups: dict[str, int] = {}
    return [
        Rollout(prompt, first_group + groups.setdefault(prompt.task_id, len(groups)), completion, outcome)
        for prompt, completion, outcome in zip(prompts, completions, outcomes, strict=True)
    ]


def describe_faults(sampled: SampledRollouts) -> str:
    """Describe in one line why an iteration without any graded completion ends the run, and how to continue."""
    details = [rollout.outcome.detail for rollout in sampled.generated if rollout.outcome.status is Status.INFRA]
    reason = next((detail for detail in details if detail), "the sandboxes fail")
    return (
        f"iteration {sampled.batch.iteration}: none of its completions could be graded: {reason}. `atomforge doctor` "
        "checks the sandboxes; the same command with `--ckpt_path last` continues from the last checkpoint"
    )
