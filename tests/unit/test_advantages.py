import pytest
import torch

from lightning_modules.advantages import generalized_advantages, token_rewards, uniform_groups
from lightning_modules.kl_control import KLConfig, controller_of

MASK = torch.tensor([[True, True, True], [True, True, False]])


def test_token_rewards_by_hand():
    kl = torch.tensor([[1.0, 2.0, 3.0], [4.0, -1.0, 9.0]])
    rewards = token_rewards(torch.tensor([10.0, 20.0]), kl, MASK, kl_coef=0.1)
    torch.testing.assert_close(rewards, torch.tensor([[-0.1, -0.2, 9.7], [-0.4, 20.1, 0.0]]))


def test_advantages_by_hand():
    # gamma .5, lambda .5, rewards 0 0 8, values 2 4 4
    # errors: 0 + .5*4 - 2 = 0; 0 + .5*4 - 4 = -2; 8 - 4 = 4
    # advantages: 4; -2 + .25*4 = -1; 0 + .25*-1 = -.25
    rewards, values = torch.tensor([[0.0, 0.0, 8.0]]), torch.tensor([[2.0, 4.0, 4.0]])
    advantages, returns = generalized_advantages(rewards, values, MASK[:1], gamma=0.5, gae_lambda=0.5)
    torch.testing.assert_close(advantages, torch.tensor([[-0.25, -1.0, 4.0]]))
    torch.testing.assert_close(returns, torch.tensor([[1.75, 3.0, 8.0]]))


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
    advantages, returns = generalized_advantages(rewards, values, mask, gamma=gamma, gae_lambda=gae_lambda)
    for row, length in enumerate(lengths):
        expected = loop_gae(rewards[row, :length].tolist(), values[row, :length].tolist(), gamma, gae_lambda)
        assert advantages[row, :length].tolist() == pytest.approx(expected, abs=1e-5)
        assert advantages[row, length:].abs().sum() == 0
        assert returns[row, length:].abs().sum() == 0
        torch.testing.assert_close(returns[row, :length], advantages[row, :length] + values[row, :length])


def test_uniform_groups():
    scores = torch.tensor([1.0, 1.0, 0.0, 1.0, 5.0, 7.0])
    known = torch.tensor([True, True, True, True, True, False])
    groups = torch.tensor([0, 0, 1, 1, 2, 2])
    assert uniform_groups(scores, known, groups).tolist() == [True, True, False, False, True, True]


def test_a_group_without_known_rewards_is_uniform():
    assert uniform_groups(torch.tensor([1.0, 2.0]), torch.tensor([False, False]), torch.tensor([0, 0])).all()


def test_the_kl_price_follows_the_target():
    controller = controller_of(KLConfig(init_coef=0.1, target=2.0, horizon=100))
    # 3 nats for 2 wanted: error .5, held at .2; 50 of 100 samples: times 1.1
    assert controller.update(3.0, 50).coef == pytest.approx(0.11)
    assert controller.update(0.0, 50).coef == pytest.approx(0.09)
    # error .1: times 1 + .1 * .5
    assert controller.update(2.2, 50).coef == pytest.approx(0.105)
    assert controller.update(3.0, 1000).coef == pytest.approx(0.12)
    assert controller.coef == 0.1


def test_without_a_target_the_price_is_fixed():
    controller = controller_of(KLConfig(init_coef=0.1))
    assert controller.update(100.0, 1000) == controller


@pytest.mark.parametrize("wrong", [{"init_coef": -1.0}, {"target": 0.0}, {"horizon": 0}])
def test_kl_config_refuses_nonsense(wrong):
    with pytest.raises(ValueError, match=f"kl.{next(iter(wrong))}"):
        KLConfig(**wrong)
