"""The tasks that rewards are earned on, and which tests an iteration judges them by.

A task can be judged by its stored reward tests or on inputs drawn anew from the domains of its parameters. One of the
two makes the reward, the other is its `probe`. The evaluation tests are neither: they are only kept out of the draws.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from datamodules.atoms.domain_json import domains_from_json
from datamodules.atoms.domains import Domain
from datamodules.batches import LazyTask, TaskPrompt
from datamodules.input_sampling import sample_inputs


class RewardTask(NamedTuple):
    """A task with all that its reward can be made from."""

    prompt: TaskPrompt
    """With the stored reward tests."""
    solution: str = ""
    evaluation_tests: str = "[]"
    """JSON, as in the data set; used to keep their inputs out of the draws."""
    domains: tuple[Domain, ...] | None = None
    """One for each parameter; None where the data set does not have them: the stored tests serve."""


def build_reward_tasks(rows: Sequence[Mapping[str, Any]], prompts: Sequence[TaskPrompt]) -> list[RewardTask]:
    """Put rows of a data set and their prompts together.

    Args:
        rows: with `solution`, `tests`, `reward_tests`, and `domains` where the data set has them.
        prompts: of the same tasks, in the same order.

    Raises:
        ValueError: the domains of a task cannot be read; one line naming the task.
    """
    return [_reward_task(row, prompt) for row, prompt in zip(rows, prompts, strict=True)]


def choose_reward_tests(task: RewardTask, *, num_sampled: int, seed: int, iteration: int) -> TaskPrompt:
    """Choose what an answer is judged by in an iteration.

    Args:
        task: to be answered.
        num_sampled: inputs to draw; 0 for the stored tests, with as many draws for the probe.
        seed: of the run.
        iteration: of reinforcement learning.

    Returns:
        The prompt with its tests and its probe; with the stored tests and no probe where nothing could be drawn.
    """
    stored = task.prompt
    if task.domains is None:
        return stored
    tests = json.loads(stored.row["tests"])
    known = [test["args"] for test in (*json.loads(task.evaluation_tests), *tests)]
    inputs = sample_inputs(
        task.domains,
        seed=seed,
        iteration=iteration,
        task_id=stored.task_id,
        known=known,
        num=num_sampled or len(tests),
    )
    if inputs is None:
        return stored
    row = {key: value for key, value in stored.row.items() if key != "tests"}
    drawn = stored._replace(lazy_task=LazyTask({**row, "reference": task.solution, "inputs": inputs}))
    return drawn._replace(probe=stored) if num_sampled else stored._replace(probe=drawn)


def _reward_task(row: Mapping[str, Any], prompt: TaskPrompt) -> RewardTask:
    domains = None
    if row.get("domains") is not None:
        try:
            domains = domains_from_json(row["domains"])
            if any(len(test["args"]) != len(domains) for test in json.loads(row["reward_tests"])):
                raise ValueError(f"there are {len(domains)} domains, but another number of arguments")
        except ValueError as error:
            raise ValueError(f"task {prompt.task_id}: {error}") from None
    stored = prompt._replace(lazy_task=LazyTask({**prompt.row, "tests": row["reward_tests"]}))
    return RewardTask(stored, row["solution"], row["tests"], domains)
