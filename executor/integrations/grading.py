"""One executor a process, opened at its first use, for tools that call a plain function for each completion."""

import atexit
import os
import threading
from collections.abc import Sequence

from executor.api import Executor, grade, open_executor
from executor.grading.rewards import RewardConfig
from executor.types import DEFAULT_LIMITS, Outcome, Status, Submission

BACKEND_VARIABLE = "ATOMFORGE_EXECUTOR"
"""Environment variable with the backend or the address of the service, where a tool passes no arguments on."""
NUM_ATTEMPTS = 2
"""How often a submission is graded until its outcome is not `infra`."""

_register_exit = getattr(threading, "_register_atexit", atexit.register)
"""atexit is too late: the threads that started the sandboxes have ended by then, and the sandboxes with them."""
_executors: dict[tuple[int, str], Executor] = {}
_lock = threading.Lock()


def get_executor(backend: str | None = None) -> Executor:
    """Return the executor of this process for a backend; it is closed when the process ends.

    Args:
        backend: as in `open_executor`; None: the environment's ATOMFORGE_EXECUTOR, else `auto`.

    Raises:
        ValueError: the backend does not work here; one line.
    """
    name = backend or os.environ.get(BACKEND_VARIABLE) or "auto"
    key = (os.getpid(), name)  # the threads of an executor do not survive a fork
    with _lock:
        if key not in _executors:
            executor = _executors[key] = open_executor(name)
            _register_exit(executor.close)
        return _executors[key]


def grade_submissions(
    submissions: Sequence[Submission], *, backend: str | None = None, rewards: RewardConfig | None = None
) -> list[Outcome]:
    """Grade a batch; submissions with status `infra` are graded once more.

    Args:
        submissions: completions with their tasks.
        backend: as in `get_executor`.
        rewards: weights; default: 1 for passing every test.

    Returns:
        Outcomes with rewards, in order; the reward of an outcome that stays `infra` is None.
    """
    executor = get_executor(backend)
    rewards = RewardConfig() if rewards is None else rewards
    outcomes = grade(executor, submissions, DEFAULT_LIMITS, rewards=rewards)
    for _ in range(NUM_ATTEMPTS - 1):
        failed = [index for index, outcome in enumerate(outcomes) if outcome.status is Status.INFRA]
        again = grade(executor, [submissions[index] for index in failed], DEFAULT_LIMITS, rewards=rewards)
        for index, outcome in zip(failed, again, strict=True):
            outcomes[index] = outcome
    return outcomes
