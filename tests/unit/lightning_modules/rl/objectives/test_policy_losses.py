"""GSPO and CISPO against their equations and finite differences; PPO's loss is tested in `test_losses.py`."""

import math

import pytest
import torch
from torch import Tensor

from lightning_modules.rl.objectives.policy_losses import cispo_policy_loss, gspo_policy_loss, ppo_policy_loss

OLD = torch.tensor([-1.0, -2.0, -0.5, -1.5, -0.2], dtype=torch.float64)
NEW = torch.tensor([-0.8, -2.1, -0.3, -1.1, -0.5], dtype=torch.float64)
IDS = torch.tensor([0, 0, 1, 1, 1])
MASK = torch.ones(5, dtype=torch.bool)
COUNT = torch.tensor(5.0, dtype=torch.float64)


def gspo(new: Tensor, advantages: Tensor, *, low: float = 0.2, high: float = 0.2, mask: Tensor = MASK):
    return gspo_policy_loss(
        new, OLD, advantages, mask, completion_ids=IDS, clip_ratio_low=low, clip_ratio_high=high, num_tokens=COUNT
    )


def equation_5(new: Tensor, advantages: tuple[float, float], low: float, high: float) -> Tensor:
    """Return the negated objective of GSPO, each completion weighted by its length as in a mean over tokens."""
    total = new.new_zeros(())
    for rows, advantage in zip((slice(0, 2), slice(2, 5)), advantages, strict=True):
        ratio = (new[rows] - OLD[rows]).mean().exp()
        objective = torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
        total = total - objective * len(new[rows]) / 5
    return total


@pytest.mark.parametrize("advantages", [(1.0, -2.0), (-1.0, 0.5)])
@pytest.mark.parametrize(("low", "high"), [(0.5, 0.5), (0.01, 0.04), (0.01, 0.06)])
def test_gspo_is_equation_5_and_so_is_its_gradient(advantages, low, high):
    # ratios: exp(.1 / 2) = 1.0513 and exp(.3 / 3) = 1.1052
    per_token = torch.tensor([advantages[0]] * 2 + [advantages[1]] * 3, dtype=torch.float64)
    new = NEW.clone().requires_grad_()
    result = gspo(new, per_token, low=low, high=high)
    result.loss.backward()
    other = NEW.clone().requires_grad_()
    expected = equation_5(other, advantages, low, high)
    expected.backward()
    assert result.loss.item() == pytest.approx(expected.item())
    torch.testing.assert_close(new.grad, other.grad)
    step = 1e-6 * torch.eye(5, dtype=torch.float64)
    for row in step:  # finite differences of the equation
        slope = (equation_5(NEW + row, advantages, low, high) - equation_5(NEW - row, advantages, low, high)) / 2e-6
        assert float((new.grad * row).sum() / 1e-6) == pytest.approx(float(slope), abs=1e-6)


def test_gspo_clips_whole_completions():
    result = gspo(NEW, torch.ones(5, dtype=torch.float64), high=0.06)
    assert result.metrics["clip_frac"].item() == pytest.approx(3 / 5)  # the second: 1.1052 > 1.06
    assert ppo_policy_loss(
        NEW, OLD, torch.ones(5, dtype=torch.float64), MASK, clip_ratio_low=0.2, clip_ratio_high=0.06, num_tokens=COUNT
    ).metrics["clip_frac"].item() == pytest.approx(3 / 5)  # tokens 0, 2 and 3


def test_masked_tokens_have_no_part_in_the_ratio_of_their_completion():
    mask = torch.tensor([True, False, True, True, True])
    new = NEW.clone().requires_grad_()
    result = gspo(new, torch.ones(5, dtype=torch.float64), low=1.0, high=1.0, mask=mask)
    result.loss.backward()
    # exp(.2) once, exp(.1) three times
    assert result.loss.item() == pytest.approx(-(math.exp(0.2) + 3 * math.exp(0.1)) / 5)
    assert new.grad[1] == 0.0


def test_gspo_of_no_token_is_zero():
    none = torch.zeros(0)
    result = gspo_policy_loss(
        none, none, none, none.bool(), completion_ids=none.long(), clip_ratio_low=0.1, clip_ratio_high=0.1,
        num_tokens=torch.tensor(1.0),
    )  # fmt: skip
    assert result.loss.item() == 0.0


def test_cispo_weighs_the_policy_gradient_by_the_clipped_ratio():
    # ratios e^.2 = 1.2214, e^-.1 = .9048, e^.2, e^.4 = 1.4918, e^-.3 = .7408; clipped to [.8, 1.3]
    advantages = torch.tensor([1.0, -1.0, 2.0, 3.0, -2.0], dtype=torch.float64)
    new = NEW.clone().requires_grad_()
    result = cispo_policy_loss(new, OLD, advantages, MASK, clip_ratio_low=0.2, clip_ratio_high=0.3, num_tokens=COUNT)
    result.loss.backward()
    weights = [math.exp(0.2), math.exp(-0.1), math.exp(0.2), 1.3, 0.8]
    expected = [-w * a / 5 for w, a in zip(weights, advantages.tolist(), strict=True)]
    assert new.grad.tolist() == pytest.approx(expected)
    loss = sum(slope * logprob for slope, logprob in zip(expected, NEW.tolist(), strict=True))
    assert result.loss.item() == pytest.approx(loss)
    assert result.metrics["clip_frac"].item() == pytest.approx(2 / 5)


def test_without_a_bound_that_matters_cispo_has_the_gradient_of_ppo():
    advantages = torch.tensor([1.0, -1.0, 2.0, 3.0, -2.0], dtype=torch.float64)
    gradients = []
    for function in (ppo_policy_loss, cispo_policy_loss):
        new = NEW.clone().requires_grad_()
        function(new, OLD, advantages, MASK, clip_ratio_low=1.0, clip_ratio_high=9.0, num_tokens=COUNT).loss.backward()
        gradients.append(new.grad)
    torch.testing.assert_close(*gradients)
