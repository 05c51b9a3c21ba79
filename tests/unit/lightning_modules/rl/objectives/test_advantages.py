import pytest
import torch

from lightning_modules.rl.objectives.advantages import (
    find_zero_variance_groups,
    generalized_advantages,
    group_centered,
    group_relative,
    leave_one_out,
    overlong_penalties,
    rewards_to_go,
    token_rewards,
)

MASK = torch.tensor([[True, True, True], [True, True, False]])


def test_token_rewards_by_hand():
    kl = torch.tensor([[1.0, 2.0, 3.0], [4.0, -1.0, 9.0]])
    rewards = token_rewards(torch.tensor([10.0, 20.0]), kl, MASK, kl_coef=0.1)
    torch.testing.assert_close(rewards, torch.tensor([[-0.1, -0.2, 9.7], [-0.4, 20.1, 0.0]]))


def test_overlong_penalties_by_hand():
    # of at most 10 tokens the last 4 are the buffer: 6 is free, 7 costs a quarter
    lengths = torch.tensor([1, 6, 7, 9, 10])
    assert overlong_penalties(lengths, 10, 4).tolist() == [0.0, 0.0, 0.25, 0.75, 1.0]
    assert not overlong_penalties(lengths, 10, 0).any()


def test_advantages_by_hand():
    # gamma .5, lambda .5, rewards 0 0 8, values 2 4 4
    # errors: 0 + .5*4 - 2 = 0; 0 + .5*4 - 4 = -2; 8 - 4 = 4
    # advantages: 4; -2 + .25*4 = -1; 0 + .25*-1 = -.25
    rewards, values = torch.tensor([[0.0, 0.0, 8.0]]), torch.tensor([[2.0, 4.0, 4.0]])
    advantages = generalized_advantages(rewards, values, MASK[:1], gamma=0.5, gae_lambda=0.5)
    torch.testing.assert_close(advantages, torch.tensor([[-0.25, -1.0, 4.0]]))


def loop_gae(rewards, values, gamma, gae_lambda):
    """Return advantages of one response, summing discounted errors forward from each token."""
    length = len(rewards)
    later = [*values[1:], 0.0]
    errors = [rewards[t] + gamma * later[t] - values[t] for t in range(length)]
    return [sum((gamma * gae_lambda) ** (s - t) * errors[s] for s in range(t, length)) for t in range(length)]


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(1.0, 0.95), (0.9, 0.0), (0.97, 1.0)])
def test_advantages_are_those_of_a_plain_loop(gamma, gae_lambda):
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(4, 7, generator=generator), torch.randn(4, 7, generator=generator)
    lengths = [7, 1, 4, 6]
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    advantages = generalized_advantages(rewards, values, mask, gamma=gamma, gae_lambda=gae_lambda)
    for row, length in enumerate(lengths):
        expected = loop_gae(rewards[row, :length].tolist(), values[row, :length].tolist(), gamma, gae_lambda)
        assert advantages[row, :length].tolist() == pytest.approx(expected, abs=1e-5)
        assert advantages[row, length:].abs().sum() == 0


def test_find_zero_variance_groups():
    scores = torch.tensor([1.0, 1.0, 0.0, 1.0, 5.0, 7.0])
    known = torch.tensor([True, True, True, True, True, False])
    groups = torch.tensor([0, 0, 1, 1, 2, 2])
    assert find_zero_variance_groups(scores, known, groups).tolist() == [True, True, False, False, True, True]


def test_a_group_without_known_rewards_is_uniform():
    assert find_zero_variance_groups(torch.tensor([1.0, 2.0]), torch.tensor([False, False]), torch.tensor([0, 0])).all()


GROUPS = torch.tensor([0, 1, 0, 0, 1, 2, 0])
SCORES = torch.tensor([1.0, 0.4, 0.0, 1.0, 1.0, 7.0, 99.0])
KNOWN = torch.tensor([True, True, True, True, True, True, False])


def test_group_relative_by_hand():
    # group 0: 1, 0, 1 about 2/3: deviation sqrt((1/9 + 4/9 + 1/9) / 2) = .57735; +-1/3 and -2/3 over it
    # group 1: .4 and 1 about .7: deviation sqrt(.18) = .42426, and .3 / .42426 = .70711; group 2 is alone
    found = group_relative(SCORES, KNOWN, GROUPS, eps=0.0)
    expected = torch.tensor([0.57735, -0.70711, -1.15470, 0.57735, 0.70711, 0.0, 0.0])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_leave_one_out_by_hand():
    # group 0: 1 - (0 + 1) / 2, 0 - (1 + 1) / 2, 1 - (1 + 0) / 2; group 1: .4 - 1 and 1 - .4; group 2 is alone
    expected = torch.tensor([0.5, -0.6, -1.0, 0.5, 0.6, 0.0, 0.0])
    torch.testing.assert_close(leave_one_out(SCORES, KNOWN, GROUPS), expected)


@pytest.mark.parametrize("estimate", [group_relative, leave_one_out])
def test_only_differences_within_a_group_count(estimate):
    shifted = SCORES + torch.tensor([3.0, -2.0, 5.0])[GROUPS]
    torch.testing.assert_close(estimate(shifted, KNOWN, GROUPS), estimate(SCORES, KNOWN, GROUPS), atol=1e-5, rtol=1e-5)
    uniform = estimate(torch.full((3,), 0.3), torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(uniform, torch.zeros(3))


def test_an_unknown_reward_takes_no_part():
    other = SCORES.clone()
    other[-1] = -1e6
    for estimate in (group_relative, leave_one_out):
        assert torch.equal(estimate(SCORES, KNOWN, GROUPS), estimate(other, KNOWN, GROUPS))


def test_rewards_to_go_by_hand():
    # gamma .5: 4; 2 + .5 * 4 = 4; 1 + .5 * 4 = 3. The second response ends after two tokens: 6; 2 + .5 * 6 = 5
    rewards = torch.tensor([[1.0, 2.0, 4.0], [2.0, 6.0, 9.0]])
    torch.testing.assert_close(
        rewards_to_go(rewards, MASK, gamma=0.5), torch.tensor([[3.0, 4.0, 4.0], [5.0, 6.0, 0.0]])
    )


def test_dr_grpo_subtracts_the_mean_and_does_not_divide():
    scores = torch.tensor([1.0, 0.0, 0.0, 5.0, 3.0])
    known = torch.tensor([True, True, True, True, False])
    groups = torch.tensor([0, 0, 0, 1, 1])
    expected = torch.tensor([2 / 3, -1 / 3, -1 / 3, 0.0, 0.0])
    torch.testing.assert_close(group_centered(scores, known, groups), expected)
