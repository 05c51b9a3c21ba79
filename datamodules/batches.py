"""Records that data and training exchange: prompts, supervised minibatches, and minibatches of rollouts.

This module defines shapes and meanings. Packing, collation and loading are in other modules.

Shapes: `R` packed rows, `T` tokens of a row (prompts and completions).
Time index everywhere: position t of a row predicts token t+1, so arrays over predictions have `T - 1` columns.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor

from executor.grading.tasks import parse_task
from executor.types import Task


class LazyTask:
    """A task row that is parsed once, when the first completion is graded: parsing 32 calls takes about 2 ms.

    Args:
        row: as `parse_task` reads it. It has a prompt where completions may continue the prompt's code.
    """

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row

    @cached_property
    def parsed(self) -> Task:
        return parse_task(self.row)


class TaskPrompt(NamedTuple):
    """One task as a model sees it, and what completions are graded against."""

    task_id: str
    prompt: str
    prompt_ids: list[int]
    """`<bos>` and the encoded prompt with its final newline."""
    lazy_task: LazyTask
    language: str = "en"
    depth: int = 0
    """Levels of calls of a composition; 0 for tasks that are not compositions."""
    atoms: tuple[str, ...] = ()
    """Atoms of a composition; empty for other tasks."""
    num_steps: int = 0
    """Calls of a composition; 0 for other tasks."""
    shape: str = ""
    """Of a composition: chain, left, right or balanced (`datamodules.synthesis.composition.shape`)."""
    topics: tuple[str, ...] = ()
    """Distinct topics of the atoms, in order."""
    wording: str = "in_distribution"
    """`seen`, or `unseen` where the phrasings and the frame of the prompt occur in no training."""
    probe: "TaskPrompt | None" = None
    """The same task with inputs disjoint from these, for the reward probe; None if there are none."""

    @property
    def task(self) -> Task:
        """What completions are graded against."""
        return self.lazy_task.parsed

    @property
    def row(self) -> Mapping[str, Any]:
        """`task` before it is parsed."""
        return self.lazy_task.row


IGNORE = -100
"""Label of tokens without loss."""


class SFTBatch(NamedTuple):
    """A packed supervised minibatch of `R` rows holding `num_samples` samples.

    `segment_ids` is 0 on padding and 1, 2, ... for the samples of a row: a token attends within its own segment only.
    `labels` are aligned to `input_ids` (the module shifts); -100 means no loss.
    """

    input_ids: Tensor
    """[R, T] long"""
    position_ids: Tensor
    """[R, T] long, from 0 in each segment"""
    segment_ids: Tensor
    """[R, T] long"""
    labels: Tensor
    """[R, T] long"""
    num_samples: int


class PromptBatch(NamedTuple):
    """The prompts of one iteration on this rank: `N` prompts, copies of a prompt next to each other."""

    iteration: int
    prompts: list[TaskPrompt]
    copy_numbers: list[int]
    """[N], distinguish the copies of a prompt over all ranks, for their random numbers"""
    samples_per_prompt: int


class MinibatchConfig(NamedTuple):
    """How the rollouts of an iteration on one rank are divided into minibatches, of the policy or of the critic.

    Args:
        size: Completions per optimizer step on this rank.
        num_epochs: Passes over the rollouts.
        num_micro_batches: Micro-batches per optimizer step.
        seed: Seed of the order.
        trains_critic: Whether they train only the critic.
    """

    size: int
    num_epochs: int
    num_micro_batches: int
    seed: int
    trains_critic: bool = False

    def count_steps(self, num_completions: int) -> int:
        """Count the optimizer steps of an iteration."""
        return self.num_epochs * -(-num_completions // self.size)


class RolloutStats(NamedTuple):
    """Measurements of the rollouts of an iteration, over all ranks."""

    metrics: Mapping[str, float] = {}
    """By tag."""
    kl: float = 0.0
    """Mean over the completions with a reward of the k1 estimate summed over tokens, nats."""
    num_rewarded: int = 0
    """Completions with a reward."""
    counts_by_depth: Mapping[int, tuple[int, int]] = {}
    """Completions that passed and completions that were graded, by depth of the task."""
    return_sums: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Number of the returns that the critic is trained on, their sum, and the sum of their squares."""


class RolloutBatch(NamedTuple):
    """A micro-batch of rollouts, packed into `R` rows by `datamodules.encoding.prefix_packing`.

    `segment_ids` is 0 on padding and 1, 2, ... on the prompts of a row with their completions. `branch_ids` is 0 on a
    prompt and 1, 2, ... on its completions: a token attends to its prompt and to its own branch. Column t of the
    `[R, T-1]` arrays belongs to the prediction of token t+1; they are 0 outside the completions.
    """

    input_ids: Tensor
    """[R, T] long"""
    position_ids: Tensor
    """[R, T] long"""
    segment_ids: Tensor
    """[R, T] long"""
    branch_ids: Tensor
    """[R, T] long"""
    loss_mask: Tensor
    """[R, T-1] bool, True = trained; False where the reward is unknown or the completion is filtered out"""
    old_logprobs: Tensor | None
    """[R, T-1] under the policy that sampled, computed by the training forward pass; None if that is the policy that is
    trained, because the iteration has a single optimizer step"""
    ref_logprobs: Tensor
    """[R, T-1] under the reference policy"""
    values: Tensor
    """[R, T-1] of the critic, for the state before each token"""
    advantages: Tensor
    """[R, T-1]"""
    returns: Tensor
    """[R, T-1] targets of the critic"""
    num_tokens: Tensor
    """[] float, divides the loss: this micro-batch's share of the trained tokens of its optimizer step on this rank"""
    stats: RolloutStats = RolloutStats()
    """Of the whole iteration, the same in all of its batches"""
    trains_critic: bool = False
    """Whether this batch trains only the critic"""
    sft: SFTBatch | None = None
    """Examples for the supervised term of the loss; None without one"""
    num_sft_labels: Tensor | None = None
    """[] float, divides that term: this micro-batch's share of their completion tokens of its optimizer step on this
    rank"""
