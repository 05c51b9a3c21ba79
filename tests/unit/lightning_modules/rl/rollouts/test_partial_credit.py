"""Partial credit where passes are rare: poison for group-relative advantages, unless it needs a pass in the group."""

import dataclasses
from itertools import product

import pytest
import torch

from executor.grading.rewards import RewardConfig
from executor.types import Reward
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.rl.config import AlgorithmConfig, KLConfig, RLConfig
from lightning_modules.rl.objectives.advantages import find_zero_variance_groups, group_centered, group_relative
from lightning_modules.rl.rollout import compute_advantages
from lightning_modules.rl.rollouts.partial_credit import score_rollouts, withhold_partial_credit
from lightning_modules.rl.rollouts.records import Rollout
from tests.support.rollouts import make_logprobs, make_rollout

NO_PASS = torch.tensor([0.1, 0.1, 0.1, 0.0])  # three of four programs load, none passes
GROUP = torch.zeros(4, dtype=torch.long)
KNOWN = torch.ones(4, dtype=torch.bool)


def test_advantages_of_a_group_without_a_pass_by_hand() -> None:
    # mean 0.075; deviations 0.025, 0.025, 0.025, -0.075; standard deviation sqrt(0.0075 / 3) = 0.05
    expected = torch.tensor([0.5, 0.5, 0.5, -1.5])
    torch.testing.assert_close(group_relative(NO_PASS, KNOWN, GROUP, eps=0.0), expected)
    # the same size as those of a group with one pass of four: mean 0.25, standard deviation 0.5
    one_pass = torch.tensor([0.0, 0.0, 0.0, 1.0])
    torch.testing.assert_close(group_relative(one_pass, KNOWN, GROUP, eps=0.0), -expected)

    withheld = withhold_partial_credit(NO_PASS, torch.zeros(4), ~KNOWN, GROUP)
    assert group_relative(withheld, KNOWN, GROUP).tolist() == [0.0] * 4
    assert find_zero_variance_groups(withheld, KNOWN, GROUP).all()


def test_a_group_with_a_pass_keeps_its_partial_credit() -> None:
    scores = torch.tensor([1.3, 0.1, 0.3, 0.1, 0.0])
    without = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])
    passed = torch.tensor([True, False, False, False, False])
    groups = torch.tensor([0, 0, 1, 1, 1])
    found = withhold_partial_credit(scores, without, passed, groups)
    torch.testing.assert_close(found, torch.tensor([1.3, 0.1, 0.0, 0.0, 0.0]))


def failing_rollout(**parts: float) -> Rollout:
    rollout = make_rollout(0.0)
    reward = Reward(total=sum(parts.values()), parts=parts)
    return rollout._replace(outcome=dataclasses.replace(rollout.outcome, reward=reward))


def test_scores_of_rollouts() -> None:
    wrong, loads = make_rollout(0.0), failing_rollout(loads=0.1, custom=0.5)
    unknown = make_rollout(None)
    assert score_rollouts([wrong, loads, unknown], needs_pass=False).tolist() == pytest.approx([0.0, 0.6, 0.0])
    assert score_rollouts([wrong, loads, unknown], needs_pass=True).tolist() == pytest.approx([0.0, 0.5, 0.0])
    solved = [make_rollout(1.0), loads]
    assert score_rollouts(solved, needs_pass=True).tolist() == pytest.approx([1.0, 0.6])


@pytest.mark.parametrize("needs_pass", [True, False])
def test_the_setting_decides_what_is_trained(needs_pass: bool) -> None:
    algorithm = AlgorithmConfig(
        estimator="grpo",
        whiten=False,
        filter_zero_variance_groups=True,
        partial_credit_needs_pass=needs_pass,
    )
    config = RLConfig(
        algorithm=algorithm,
        critic=None,
        kl=KLConfig(init_coef=0.0, target=None),
        sampling=SamplingParams(max_new_tokens=4),
        reward=RewardConfig(),
    )
    found = compute_advantages([make_rollout(0.0), failing_rollout(loads=0.1)], make_logprobs([2, 2]), config, 0.0)
    assert bool(found.loss_mask.any()) is not needs_pass
    assert bool((found.advantages.abs() > 0.5).any()) is not needs_pass


def drift(estimator, *, partial: float, withhold: bool, size: int = 8, attempt: float = 0.5, passes: float = 0.2):
    """Compute the expected gradient of the log-odds of attempting, exactly, by enumerating all groups.

    The policy attempts the task, which passes with probability `passes` and otherwise does not load, or writes a short
    program, which loads and never passes.
    """
    kinds = torch.tensor(list(product(range(3), repeat=size)))  # 0 passes, 1 fails, 2 is short
    odds = torch.tensor([attempt * passes, attempt * (1 - passes), 1 - attempt], dtype=torch.float64)
    probability = odds[kinds].prod(1)
    scores = torch.tensor([1.0 + partial, 0.0, partial])[kinds].flatten()
    without = torch.tensor([1.0, 0.0, 0.0])[kinds].flatten()
    groups = torch.arange(len(kinds)).repeat_interleave(size)
    passed = (kinds == 0).flatten()
    if withhold:
        scores = withhold_partial_credit(scores, without, passed, groups)
    advantages = estimator(scores, torch.ones_like(passed), groups).view(-1, size).double()
    score_function = (kinds != 2).double() - attempt  # derivative of the log-probability by the log-odds
    return float((probability * (advantages * score_function).mean(1)).sum())


def test_partial_credit_drives_a_policy_away_from_attempting_and_the_safe_form_does_not() -> None:
    # attempting pays 0.22 on average and a short program 0.1, and still GRPO moves towards short programs
    assert drift(group_relative, partial=0.0, withhold=False) == pytest.approx(0.109, abs=1e-3)
    assert drift(group_relative, partial=0.1, withhold=False) == pytest.approx(-0.101, abs=1e-3)
    assert drift(group_relative, partial=0.1, withhold=True) == pytest.approx(0.084, abs=1e-3)
    # without the division, the sign is that of the expected rewards
    assert drift(group_centered, partial=0.1, withhold=False) == pytest.approx(0.026, abs=1e-3)
    # where passes are rarer (0.05, so that attempting pays 0.055), only the safe form still learns
    assert drift(group_centered, partial=0.1, withhold=False, passes=0.05) < 0
    assert drift(group_centered, partial=0.1, withhold=True, passes=0.05) > 0
    assert drift(group_relative, partial=0.1, withhold=True, passes=0.05) > 0
