import pytest

from executor.grading.rewards import RewardConfig, compute_reward
from executor.types import Outcome, Status


def outcome(status, num_passed=0, duration_s=0.5):
    return Outcome(status=status, num_passed=num_passed, num_tests=4, duration_s=duration_s)


def test_infra_has_no_reward():
    assert compute_reward(outcome(Status.INFRA), RewardConfig(fraction_coef=1.0, loads_coef=1.0)) is None


def test_by_default_only_passing_every_test_counts():
    passed = compute_reward(outcome(Status.PASSED, 4), RewardConfig())
    assert passed.total == 1.0
    assert str(passed.parts["time"]) == "0.0"  # not -0.0
    for status in Status:
        if status not in (Status.PASSED, Status.INFRA):
            assert compute_reward(outcome(status, 3), RewardConfig()).total == 0.0


def test_parts_and_their_sum():
    config = RewardConfig(passed_coef=2.0, fraction_coef=1.0, loads_coef=0.25, time_coef=0.5)
    passed = compute_reward(outcome(Status.PASSED, 4), config)
    assert passed.parts == {"passed": 2.0, "fraction": 1.0, "loads": 0.25, "time": -0.25}  # 0.5 s x 0.5
    assert passed.total == 3.0
    wrong = compute_reward(outcome(Status.WRONG, 3), config)
    assert wrong.parts == {"passed": 0.0, "fraction": 0.75, "loads": 0.25, "time": 0.0}
    assert compute_reward(outcome(Status.LOAD_ERROR), config).total == 0.0
    assert compute_reward(outcome(Status.TIMEOUT, 1), config).total == 0.5


@pytest.mark.parametrize("name", ["passed_coef", "fraction_coef", "loads_coef", "time_coef"])
def test_every_weight_changes_the_reward_and_is_checked(name):
    config = RewardConfig(passed_coef=0.0)
    assert compute_reward(outcome(Status.PASSED, 4), config).total == 0.0
    changed = RewardConfig(**{"passed_coef": 0.0, name: 0.3})
    assert abs(compute_reward(outcome(Status.PASSED, 4), changed).total) > 0.1
    for bad in (-1.0, float("nan"), float("inf"), 1e308, 10**400, -(10**400)):
        with pytest.raises(ValueError, match=name):
            RewardConfig(**{name: bad})
