"""Checks of an iteration of reinforcement learning: its sizes, alone and with the trainer's, and its reward tests."""

import logging
from collections.abc import Sequence
from typing import Any

from datamodules.batches import TaskPrompt

MAX_SAMPLED_TESTS = 200
_log = logging.getLogger(__name__)


def check_sizes(
    *,
    prompts_per_iteration: int,
    samples_per_prompt: int,
    minibatch_size: int,
    num_ppo_epochs: int,
    max_prompt_length: int | None,
    num_sampled_reward_tests: int,
) -> None:
    """Check the sizes of `RLDataModule`.

    Raises:
        ValueError: a size is out of range, or minibatches do not divide the completions of an iteration.
    """
    sizes = {
        "prompts_per_iteration": prompts_per_iteration,
        "samples_per_prompt": samples_per_prompt,
        "minibatch_size": minibatch_size,
        "num_ppo_epochs": num_ppo_epochs,
        "max_prompt_length": 1 if max_prompt_length is None else max_prompt_length,
    }
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} is {value}: at least 1 is needed")
    if not 0 <= num_sampled_reward_tests <= MAX_SAMPLED_TESTS:
        raise ValueError(
            f"num_sampled_reward_tests is {num_sampled_reward_tests}: it must be from 0 to {MAX_SAMPLED_TESTS}"
        )
    num_completions = prompts_per_iteration * samples_per_prompt
    if num_completions % minibatch_size:
        raise ValueError(
            f"minibatch_size {minibatch_size} does not divide the {num_completions} completions of an iteration "
            f"({prompts_per_iteration} prompts x {samples_per_prompt} samples)"
        )


def check_trainer(
    trainer: Any, *, prompts_per_iteration: int, minibatch_size: int, examples_per_step: int | None
) -> None:
    """Check that the sizes of an iteration divide among ranks and micro-batches.

    Args:
        trainer: of Lightning.
        prompts_per_iteration: over all ranks.
        minibatch_size: completions per optimizer step, over all ranks.
        examples_per_step: of the supervised term, over all ranks; None without one.

    Raises:
        ValueError: naming the size.
    """
    if trainer.reload_dataloaders_every_n_epochs != 1:
        raise ValueError("trainer.reload_dataloaders_every_n_epochs must be 1: each iteration has its own rollouts")
    world_size, num_micro_batches = trainer.world_size, trainer.accumulate_grad_batches
    for name, value in (("prompts_per_iteration", prompts_per_iteration), ("minibatch_size", minibatch_size)):
        if value % world_size:
            raise ValueError(f"{name} {value} does not divide among {world_size} ranks")
    if examples_per_step is not None and examples_per_step < world_size * num_micro_batches:
        raise ValueError(
            f"sft_examples.batch_size {examples_per_step} is less than {world_size} ranks x "
            f"accumulate_grad_batches {num_micro_batches}"
        )
    if (minibatch_size // world_size) % num_micro_batches:
        raise ValueError(
            f"minibatch_size {minibatch_size} does not divide into {world_size} ranks x "
            f"accumulate_grad_batches {num_micro_batches}"
        )


def warn_about_stored_tests(prompts: Sequence[TaskPrompt], iteration: int) -> bool:
    """Log a warning if inputs could not be sampled for some tasks, and return whether there are any."""
    stored = [prompt.task_id for prompt in prompts if "reference" not in prompt.row]
    if stored:
        _log.warning(
            "num_sampled_reward_tests: %d of %d completions of iteration %d use the stored reward tests (%s, ...): the "
            "data set has no parameter domains for them, or the domains hold too few new inputs; logged once",
            *(len(stored), len(prompts), iteration, stored[0]),
        )
    return bool(stored)
