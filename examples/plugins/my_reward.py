"""A reward of one's own: short programs that pass earn a little more."""

from datamodules.batches import TaskPrompt
from executor.types import Outcome

LONG_CHARS = 600


def brevity(*, prompt: TaskPrompt, completion: str, outcome: Outcome) -> float:
    """Return up to 0.2 for a right program, the shorter the more; 0 for all others."""
    if not outcome.passed:
        return 0.0
    return 0.2 * max(0.0, 1.0 - len(completion) / LONG_CHARS)
