"""An executor that runs nothing: the status is a function of the submission."""

import time
from collections.abc import Callable, Sequence

from executor.grading.rewards import RewardConfig, compute_reward
from executor.types import DEFAULT_LIMITS, Execution, Limits, Outcome, Run, Status, Submission


class FakeGrading:
    def __init__(self, executor: "FakeExecutor", rewards: RewardConfig | None, on_result) -> None:
        self._executor, self._rewards, self._on_result = executor, rewards, on_result
        self._outcomes: list[Outcome] = []

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add(self, submission: Submission) -> int:
        status = self._executor.verdict(submission)
        plain = Outcome(status=status, num_passed=int(status == "passed"), num_tests=1, duration_s=0.0)
        reward = None if self._rewards is None else compute_reward(plain, self._rewards)
        outcome = Outcome(status=status, num_passed=plain.num_passed, num_tests=1, duration_s=0.0, reward=reward)
        self._outcomes.append(outcome)
        self._executor.submissions.append(submission)
        if self._on_result is not None:
            self._on_result(len(self._outcomes) - 1, outcome)
        return len(self._outcomes) - 1

    def outcomes(self) -> list[Outcome]:
        time.sleep(self._executor.delay_s)
        return list(self._outcomes)


class FakeExecutor:
    """Keeps what was handed in, and counts how often it was closed."""

    description = "runs nothing"
    time_factor = 1.5

    def __init__(self, verdict: Callable[[Submission], Status] = lambda submission: Status.WRONG) -> None:
        self.verdict = verdict
        self.submissions: list[Submission] = []
        self.num_closed = 0
        self.delay_s = 0.0
        """How long a grading takes after its last submission."""

    def run(
        self,
        runs: Sequence[Run],
        limits: Limits = DEFAULT_LIMITS,
        on_result: Callable[[int, Execution], None] | None = None,
    ) -> list[Execution]:
        raise AssertionError("nothing is run here")

    def grading(self, limits: Limits = DEFAULT_LIMITS, *, rewards: RewardConfig | None = None, on_result=None):
        return FakeGrading(self, rewards, on_result)

    def close(self) -> None:
        self.num_closed += 1

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def use_executor(monkeypatch, executor: FakeExecutor) -> None:
    """Have the modules of a test train with this executor; `monkeypatch` is the fixture of pytest."""
    from lightning_modules.training import run_executor  # tests of the executor package do without torch

    monkeypatch.setattr(run_executor, "open_executor", lambda backend, time_factor=None: executor)
