import pytest
import torch

from lightning_modules.models.return_normalization import mean_and_std, update_moments

START = torch.zeros(3)


def test_moments_of_iterations_are_averaged_without_bias_towards_zero():
    assert [value.item() for value in mean_and_std(START)] == [0.0, 1.0]
    # four returns 1, 1, 1, 5: mean 2, mean square 7
    first = update_moments(START, torch.tensor([4.0, 8.0, 28.0]))
    torch.testing.assert_close(first, torch.tensor([0.1, 0.2, 0.7]))
    mean, std = mean_and_std(first)
    assert (mean.item(), std.item()) == pytest.approx((2.0, 3.0**0.5))
    # one return 0: weights .09 and .1, mean .09 * 2 / .19, mean square .09 * 7 / .19
    mean, std = mean_and_std(update_moments(first, torch.tensor([1.0, 0.0, 0.0])))
    assert mean.item() == pytest.approx(0.18 / 0.19)
    assert std.item() == pytest.approx((0.63 / 0.19 - (0.18 / 0.19) ** 2) ** 0.5)


def test_an_iteration_without_returns_changes_nothing_and_equal_returns_have_a_scale():
    first = update_moments(START, torch.tensor([2.0, 2.0, 2.0]))
    assert torch.equal(update_moments(first, torch.zeros(3)), first)
    assert [value.item() for value in mean_and_std(first)] == pytest.approx([1.0, 0.1])
