"""The tests that rewards are computed on: stored reward tests, or inputs sampled in every iteration.

New inputs in every iteration keep a policy from memorizing the tests. One of the two kinds of tests makes the reward,
the other serves as the reward-hacking probe (`TaskPrompt.probe`). Evaluation tests are neither; their inputs are only
excluded from sampling.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from datamodules.atoms.domain_json import domains_from_json
from datamodules.atoms.domains import Domain
from datamodules.batches import LazyTask, TaskPrompt
from datamodules.seeding import keyed_random
from datamodules.synthesis.verification.probes import spell_value
from executor.sandbox.codec import encode_value

MAX_DRAWS_PER_INPUT = 8
"""Draws per input, on average, until it differs from all others; a domain that needs more is too narrow."""


class RewardTask(NamedTuple):
    """A task with everything that its reward tests are made from."""

    prompt: TaskPrompt
    """With the stored reward tests."""
    solution: str = ""
    """Reference that gives the expected values of sampled inputs."""
    evaluation_tests: str = "[]"
    """JSON, as in the data set; their inputs are never sampled."""
    domains: tuple[Domain, ...] | None = None
    """Domain of each parameter; None = only the stored tests are available."""


def build_reward_tasks(rows: Sequence[Mapping[str, Any]], prompts: Sequence[TaskPrompt]) -> list[RewardTask]:
    """Combine rows of a data set with their prompts.

    Args:
        rows: with `solution`, `tests`, `reward_tests` and, if the data set has them, `domains`.
        prompts: of the same tasks, in the same order.

    Raises:
        ValueError: the domains of a task cannot be read; the message names the task.
    """
    return [_build_reward_task(row, prompt) for row, prompt in zip(rows, prompts, strict=True)]


def choose_reward_tests(task: RewardTask, *, num_sampled: int, seed: int, iteration: int) -> TaskPrompt:
    """Choose the reward tests and the probe tests of a task for one iteration.

    Args:
        task: the task.
        num_sampled: number of inputs to sample for the reward; 0 = reward from the stored tests, and as many sampled
            inputs for the probe.
        seed: of the run.
        iteration: of reinforcement learning.

    Returns:
        The prompt with its reward tests, and with the other tests as `probe`; with the stored tests and no `probe` if
        nothing can be sampled.
    """
    stored = task.prompt
    if task.domains is None:
        return stored
    tests = json.loads(stored.row["tests"])
    excluded = [test["args"] for test in (*json.loads(task.evaluation_tests), *tests)]
    inputs = sample_inputs(
        task.domains,
        seed=seed,
        iteration=iteration,
        task_id=stored.task_id,
        excluded=excluded,
        num_inputs=num_sampled or len(tests),
    )
    if inputs is None:
        return stored
    row = {key: value for key, value in stored.row.items() if key != "tests"}
    sampled = stored._replace(lazy_task=LazyTask({**row, "reference": task.solution, "inputs": inputs}))
    return sampled._replace(probe=stored) if num_sampled else stored._replace(probe=sampled)


def sample_inputs(
    domains: Sequence[Domain],
    *,
    seed: int,
    iteration: int,
    task_id: str,
    excluded: Iterable[list[Any]],
    num_inputs: int,
) -> tuple[list[Any], ...] | None:
    """Sample distinct inputs as a function of (seed, iteration, task), independent of the rank and of the batch.

    Args:
        domains: domain of each parameter.
        seed: of the run.
        iteration: of reinforcement learning.
        task_id: id of the task.
        excluded: lists of tagged arguments that are not returned, such as the evaluation inputs.
        num_inputs: at least 1.

    Returns:
        Lists of tagged arguments, or None if the domains are too narrow.
    """
    rng = keyed_random(seed, "fresh reward tests", iteration, task_id)
    seen = {spell_value(args) for args in excluded}
    inputs: list[list[Any]] = []
    for _ in range(MAX_DRAWS_PER_INPUT * num_inputs):
        args = [encode_value(domain.sample(rng)) for domain in domains]
        spelled = spell_value(args)
        if spelled not in seen:
            seen.add(spelled)
            inputs.append(args)
            if len(inputs) == num_inputs:
                return tuple(inputs)
    return None


def _build_reward_task(row: Mapping[str, Any], prompt: TaskPrompt) -> RewardTask:
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
