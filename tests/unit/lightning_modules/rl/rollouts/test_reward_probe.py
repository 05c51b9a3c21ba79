import torch

from executor.grading.rewards import RewardConfig
from executor.types import Outcome, Status
from lightning_modules.generation.sampler import Completion, SamplingParams
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig, RLConfig
from lightning_modules.rl.rollouts.records import Rollout
from lightning_modules.rl.rollouts.reward_probe import ProbeCounts, probe_rewards
from tests.support.fake_executor import FakeExecutor
from tests.support.small_data import task_prompt

AGAIN = task_prompt()
FRESH = task_prompt(reference="def solve(x): return x + 1", inputs=[[5]])._replace(probe=AGAIN)
NUM = 400


def outcome(status: Status) -> Outcome:
    return Outcome(status=status, num_passed=0, num_tests=1, duration_s=0.0)


def config_of(fraction: float, seed: int) -> RLConfig:
    return RLConfig(
        algorithm=AlgorithmConfig(),
        critic=CriticConfig(),
        kl=KLConfig(),
        sampling=SamplingParams(max_new_tokens=8),
        reward=RewardConfig(),
        reward_probe_fraction=fraction,
        seed=seed,
    )


def measure(executor, order=range(NUM), *, fraction=0.25, seed=0, iteration=0, prompt=FRESH) -> ProbeCounts | None:
    """Program i passed unless i is odd; its stream is 1000 + i."""
    rollouts = [
        Rollout(prompt, 0, Completion(str(i), [1], [0.0], True), outcome(Status.WRONG if i % 2 else Status.PASSED))
        for i in order
    ]
    return probe_rewards(executor, rollouts, [1000 + i for i in order], config_of(fraction, seed), iteration=iteration)


def chosen(**options) -> set[str]:
    executor = FakeExecutor()
    measure(executor, **options)
    assert all(submission.task.tests for submission in executor.submissions)
    return {submission.completion for submission in executor.submissions}


def test_a_share_of_the_passes_is_chosen_by_name_alone():
    base = chosen()
    assert all(int(text) % 2 == 0 for text in base)
    assert 30 <= len(base) <= 70  # of 200 passes, 50 expected with a standard deviation of 6
    assert chosen(order=range(NUM - 1, -1, -1)) == base
    assert chosen(order=range(0, 100)) == {text for text in base if int(text) < 100}
    assert base < chosen(fraction=0.5)
    assert len(chosen(fraction=1.0)) == 200
    assert chosen(seed=1) != base != chosen(iteration=1)


def test_faults_and_tasks_without_other_inputs_do_not_count():
    def third(submission):
        return (Status.INFRA, Status.PASSED, Status.TIMEOUT)[int(submission.completion) % 3]

    # of the even numbers below 12, 0 and 6 meet a fault, 4 and 10 pass, 2 and 8 fail
    assert measure(FakeExecutor(third), range(12), fraction=1.0) == ProbeCounts(4, 2)
    executor = FakeExecutor()
    assert measure(executor, fraction=1.0, prompt=AGAIN) == ProbeCounts(0, 0)
    assert executor.submissions == []


def test_ranks_are_added_before_they_are_divided():
    def other_rank(mine):
        return mine + torch.tensor([6.0, 1.0])

    assert ProbeCounts(2, 1).metrics(other_rank) == {"reward/num_probed": 8.0, "reward/probe_fail_rate": 0.25}
    assert ProbeCounts(0, 0).metrics(lambda mine: mine) == {"reward/num_probed": 0.0}
