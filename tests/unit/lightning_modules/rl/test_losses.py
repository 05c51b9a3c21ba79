import math

import pytest
import torch

from lightning_modules.rl.losses import ppo_policy_loss, ppo_value_loss

TWO = torch.tensor(2.0)


def policy_loss(ratios, advantages, *, clip_ratio_low=0.2, clip_ratio_high=0.3, mask=None, num_tokens=None):
    new = torch.log(torch.tensor([ratios])).requires_grad_()
    mask = torch.ones(1, len(ratios), dtype=torch.bool) if mask is None else torch.tensor([mask])
    count = torch.tensor(float(len(ratios))) if num_tokens is None else num_tokens
    result = ppo_policy_loss(
        new,
        torch.zeros_like(new),
        torch.tensor([advantages]),
        mask,
        clip_ratio_low=clip_ratio_low,
        clip_ratio_high=clip_ratio_high,
        num_tokens=count,
    )
    result.loss.backward()
    assert new.grad is not None
    return result, new.grad[0].tolist()


def test_inside_the_clip_range_the_loss_is_the_surrogate():
    # -(1.1 * 2 + 0.9 * -1) / 2 = -.65; gradient of -A r / 2 by log r is -A r / 2
    result, gradient = policy_loss([1.1, 0.9], [2.0, -1.0])
    assert result.loss.item() == pytest.approx(-0.65)
    assert gradient == pytest.approx([-1.1, 0.45])
    assert result.metrics["clip_fraction"].item() == 0.0
    assert result.metrics["ratio"].item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "cut"),
    [
        (1.5, 1.0, -1.3, True),  # held at 1 + .3
        (0.5, -1.0, 0.8, True),  # held at 1 - .2
        (1.5, -1.0, 1.5, False),  # worse than before: the gradient stays
        (0.5, 1.0, -0.5, False),
    ],
)
def test_each_side_of_the_clip(ratio, advantage, loss, cut):
    result, gradient = policy_loss([ratio], [advantage])
    assert result.loss.item() == pytest.approx(loss)
    assert (gradient[0] == 0.0) == cut
    assert result.metrics["clip_fraction"].item() == float(cut)


def test_each_bound_is_used_on_its_own_side():
    assert policy_loss([1.5], [1.0], clip_ratio_high=0.1)[0].loss.item() == pytest.approx(-1.1)
    assert policy_loss([1.5], [1.0], clip_ratio_low=0.1)[0].loss.item() == pytest.approx(-1.3)
    assert policy_loss([0.5], [-1.0], clip_ratio_low=0.1)[0].loss.item() == pytest.approx(0.9)


def test_masked_tokens_have_no_part_and_no_gradient():
    whole, _ = policy_loss([1.1, 0.9], [2.0, -1.0], num_tokens=TWO)
    padded, gradient = policy_loss([1.1, 0.9, 3.0], [2.0, -1.0, 9.0], mask=[True, True, False], num_tokens=TWO)
    assert padded.loss.item() == pytest.approx(whole.loss.item())
    assert gradient[2] == 0.0


def test_a_step_split_in_two_is_the_step():
    parts = [policy_loss([ratio], [2.0], num_tokens=TWO)[0].loss.item() for ratio in (1.1, 0.8)]
    assert sum(parts) == pytest.approx(policy_loss([1.1, 0.8], [2.0, 2.0])[0].loss.item())


def test_approx_kl_by_hand():
    # ratio 2: 2 - 1 - ln 2
    assert policy_loss([2.0], [0.0])[0].metrics["approx_kl"].item() == pytest.approx(1 - math.log(2))


def test_a_far_ratio_stays_finite():
    new = torch.tensor([[500.0]], requires_grad=True)
    mask = torch.ones(1, 1, dtype=torch.bool)
    result = ppo_policy_loss(
        new,
        torch.zeros(1, 1),
        -torch.ones(1, 1),
        mask,
        clip_ratio_low=0.2,
        clip_ratio_high=0.2,
        num_tokens=torch.tensor(1.0),
    )
    assert math.isfinite(result.loss.item())


def value_loss(new, old, returns, *, clip):
    values = torch.tensor([new], requires_grad=True)
    mask = torch.ones(1, len(new), dtype=torch.bool)
    result = ppo_value_loss(
        values, torch.tensor([old]), torch.tensor([returns]), mask, clip=clip, num_tokens=torch.tensor(float(len(new)))
    )
    result.loss.backward()
    assert values.grad is not None
    return result, values.grad[0].tolist()


def test_value_loss_by_hand():
    # errors 1 and 2: half of (1 + 4) / 2
    result, gradient = value_loss([1.0, 2.0], [0.0, 0.0], [0.0, 0.0], clip=None)
    assert result.loss.item() == pytest.approx(1.25)
    assert gradient == pytest.approx([0.5, 1.0])


def test_value_clip_cuts_moves_past_its_range():
    # old 0, new 1, target 2, clip .2: held at .2, (.2 - 2)^2 / 2 = 1.62 and no gradient
    result, gradient = value_loss([1.0], [0.0], [2.0], clip=0.2)
    assert result.loss.item() == pytest.approx(1.62)
    assert gradient == [0.0]
    assert result.metrics["clip_fraction"].item() == 1.0
    # overshooting: new 3 past target 2 is held at .2 with error 1.8, larger than 1
    assert value_loss([3.0], [0.0], [2.0], clip=0.2)[0].loss.item() == pytest.approx(1.62)
    # within the range nothing is held
    assert value_loss([0.1], [0.0], [2.0], clip=0.2)[0].metrics["clip_fraction"].item() == 0.0
