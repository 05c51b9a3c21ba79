"""The records that cross from data to training: prompts, supervised minibatches, rollouts and their minibatches.

The only module of `datamodules` that `lightning_modules` imports. It holds shapes and meanings: packing, collation and
loading are in other modules.

Shapes: `R` packed rows, `B` samples, `T` tokens of a row (prompt and response), `L` tokens of one response.
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
    topics: tuple[str, ...] = ()
    """Distinct topics of the atoms, in order."""
    wording: str = "in_distribution"
    """`seen`, or `unseen` where the phrasings and the frame of the prompt occur in no training."""
    retest: "TaskPrompt | None" = None
    """The same task with inputs that are disjoint from these; None where there are none."""

    @property
    def task(self) -> Task:
        """What completions are graded against."""
        return self.lazy_task.parsed

    @property
    def row(self) -> Mapping[str, Any]:
        """`task` before it is parsed."""
        return self.lazy_task.row


class SFTBatch(NamedTuple):
    """A packed supervised minibatch of `R` rows holding `num_samples` samples.

    `segment_ids` is 0 on padding and 1, 2, ... for the samples of a row: a token attends within its own segment only.
    `labels` are aligned to `input_ids` (the module shifts); -100 means no loss.
    """

    input_ids: Tensor
    """[R, T] long"""
    position_ids: Tensor
    """[R, T] long, starting anew at 0 in each segment"""
    segment_ids: Tensor
    """[R, T] long"""
    labels: Tensor
    """[R, T] long"""
    num_samples: int


class RolloutSample(NamedTuple):
    """One judged response, one number for each of its `L` tokens (`<eos>` counts as one where the model wrote it)."""

    prompt_ids: Tensor
    """[P] long"""
    response_ids: Tensor
    """[L] long"""
    loss_mask: Tensor
    """[L] bool, True = trained; all False where the reward is unknown or the sample is left out"""
    old_logprobs: Tensor
    """[L] under the policy that sampled, computed by the training forward pass"""
    ref_logprobs: Tensor
    """[L] under the frozen reference"""
    values: Tensor
    """[L] the critic's value before each token was chosen"""
    advantages: Tensor
    """[L] whitened over the iteration where that is asked for"""
    returns: Tensor
    """[L] targets of the critic"""


class RolloutBatch(NamedTuple):
    """A minibatch of rollouts packed into `R` rows, as `datamodules.prefix_packing` says.

    `segment_ids` is 0 on padding and 1, 2, ... for the prompts of a row with their answers. `branch_ids` is 0 on what
    these answers share and 1, 2, ... on each of them: a token attends to what is shared and to its own branch.
    Column t of the `[R, T-1]` arrays belongs to the prediction of token t+1; they are 0 outside the responses.
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
    """[R, T-1] bool, True = trained"""
    old_logprobs: Tensor
    """[R, T-1]"""
    ref_logprobs: Tensor
    """[R, T-1]"""
    values: Tensor
    """[R, T-1]"""
    advantages: Tensor
    """[R, T-1]"""
    returns: Tensor
    """[R, T-1]"""
    num_tokens: Tensor
    """[] float, trained tokens the loss of this batch is divided by (this rank's share of an optimizer step's)"""
