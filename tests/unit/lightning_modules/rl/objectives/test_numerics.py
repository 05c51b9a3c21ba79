import math

import pytest
import torch

from lightning_modules.rl.objectives.numerics import (
    explained_variance,
    masked_mean,
    moment_sums,
    token_entropy,
    token_logprobs,
    whiten,
)

MASK = torch.tensor([[True, True, False], [True, False, False]])


def test_token_logprobs_by_hand():
    # weights 1 and 3: probabilities .25 and .75; at temperature .5 the weights are 1 and 9
    logits = torch.log(torch.tensor([[[1.0, 3.0], [1.0, 3.0]]]))
    ids = torch.tensor([[0, 1]])
    torch.testing.assert_close(token_logprobs(logits, ids).exp(), torch.tensor([[0.25, 0.75]]))
    torch.testing.assert_close(token_logprobs(logits, ids, temperature=0.5).exp(), torch.tensor([[0.1, 0.9]]))


def test_token_logprobs_are_float32_of_half_precision_logits():
    assert token_logprobs(torch.zeros(1, 1, 4).bfloat16(), torch.zeros(1, 1).long()).dtype == torch.float32


def test_entropy_by_hand():
    logits = torch.stack([torch.zeros(4), torch.tensor([50.0, 0.0, 0.0, 0.0])])[None]
    torch.testing.assert_close(token_entropy(logits), torch.tensor([[math.log(4), 0.0]]))
    # weights 1 and 3 at temperature .5: -.1 ln .1 - .9 ln .9 = .32508
    sharp = token_entropy(torch.log(torch.tensor([[[1.0, 3.0]]])), temperature=0.5)
    assert sharp.item() == pytest.approx(0.32508, abs=1e-5)


def test_masked_mean_leaves_out_the_rest():
    values = torch.tensor([[1.0, 2.0, 100.0], [6.0, 100.0, 100.0]])
    assert masked_mean(values, MASK).item() == pytest.approx(3.0)  # (1 + 2 + 6) / 3
    assert masked_mean(values, torch.zeros_like(MASK)).item() == 0.0


def test_whiten_centres_and_scales():
    # 1, 2, 6: mean 3, variance (4 + 1 + 9) / 3 = 14/3
    values = torch.tensor([[1.0, 2.0, 100.0], [6.0, 100.0, 100.0]])
    scale = math.sqrt(14 / 3)
    expected = torch.tensor([[-2 / scale, -1 / scale, 0.0], [3 / scale, 0.0, 0.0]])
    whitened = whiten(values, MASK)
    torch.testing.assert_close(whitened, expected)
    assert masked_mean(whitened, MASK).item() == pytest.approx(0.0, abs=1e-6)


def test_whiten_with_the_sums_of_two_ranks_is_whitening_both_together():
    values, mask = torch.randn(4, 5), torch.rand(4, 5) > 0.3
    sums = moment_sums(values[:1], mask[:1]) + moment_sums(values[1:], mask[1:])
    apart = torch.cat([whiten(values[:1], mask[:1], sums=sums), whiten(values[1:], mask[1:], sums=sums)])
    torch.testing.assert_close(apart, whiten(values, mask))


def test_whiten_of_equal_values_is_zero():
    assert whiten(torch.full((2, 3), 7.0), MASK).abs().max().item() == 0.0


def test_explained_variance_by_hand():
    # targets 1 2 6 (variance 14/3); errors 1 0 2 (mean 1, variance 2/3): 1 - 2/14 = 6/7
    targets = torch.tensor([[1.0, 2.0, 9.0], [6.0, 9.0, 9.0]])
    predictions = torch.tensor([[0.0, 2.0, 0.0], [4.0, 0.0, 0.0]])
    assert explained_variance(predictions, targets, MASK).item() == pytest.approx(6 / 7)
    assert explained_variance(targets, targets, MASK).item() == 1.0
    assert explained_variance(predictions, torch.ones_like(targets), MASK).item() == 0.0
