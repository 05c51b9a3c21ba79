"""Stands in for the executor where the trainers alone are timed: a program passes or fails by its length, at once."""

from executor.grading.rewards import RewardConfig, compute_reward
from executor.types import Outcome, Status, Submission


class _Grading:
    def __init__(self, rewards: RewardConfig | None) -> None:
        self._rewards = rewards
        self._outcomes: list[Outcome] = []

    def __enter__(self) -> "_Grading":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add(self, submission: Submission) -> int:
        passed = len(submission.completion) % 2 == 0
        status = Status.PASSED if passed else Status.WRONG
        plain = Outcome(status=status, num_passed=int(passed), num_tests=1, duration_s=0.0)
        reward = None if self._rewards is None else compute_reward(plain, self._rewards)
        self._outcomes.append(
            Outcome(status=status, num_passed=int(passed), num_tests=1, duration_s=0.0, reward=reward)
        )
        return len(self._outcomes) - 1

    def outcomes(self) -> list[Outcome]:
        return self._outcomes


class InstantExecutor:
    """The part of `executor.api.Executor` that a trainer uses."""

    description = "judges by length"
    time_factor = 1.0

    def grading(self, *_: object, rewards: RewardConfig | None = None, **__: object) -> _Grading:
        return _Grading(rewards)

    def close(self) -> None:
        pass
