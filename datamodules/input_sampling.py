"""Inputs drawn anew for every iteration, so that a policy cannot learn the reward tests of a task by heart.

What is drawn is a function of (seed, iteration, task) and of the inputs that are taken; neither the rank nor the place
in a batch counts. What the inputs should give is not known here: the executor runs the task's solution on them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from datamodules.atoms.domains import Domain
from datamodules.synthesis.dataset.seeding import generator
from datamodules.synthesis.verification.probes import spell_value
from executor.sandbox.codec import encode_value

DRAWS_PER_INPUT = 8
"""Draws an input may take until it differs from all others; a domain that needs more is too narrow."""


def sample_inputs(
    domains: Sequence[Domain], *, seed: int, iteration: int, task_id: str, known: Iterable[list[Any]], num: int
) -> tuple[list[Any], ...] | None:
    """Draw `num` different lists of tagged arguments that are not among `known`.

    Args:
        domains: one for each parameter.
        seed: of the run.
        iteration: of reinforcement learning.
        task_id: whose inputs these are.
        known: lists of tagged arguments, those of evaluation among them.
        num: at least 1.

    Returns:
        The inputs, or None where the domains are too narrow for so many new ones.
    """
    rng = generator(seed, "fresh reward tests", iteration, task_id)
    taken = {spell_value(args) for args in known}
    drawn: list[list[Any]] = []
    for _ in range(DRAWS_PER_INPUT * num):
        args = [encode_value(domain.sample(rng)) for domain in domains]
        spelled = spell_value(args)
        if spelled not in taken:
            taken.add(spelled)
            drawn.append(args)
            if len(drawn) == num:
                return tuple(drawn)
    return None
