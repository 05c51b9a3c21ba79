import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from datamodules.batches import RolloutBatch
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig
from lightning_modules.rl.kl_control import KLConfig
from lightning_modules.rl.rl_loss import rl_loss

QUARTER = math.log(0.25)


class FairCoin(nn.Module):
    """A policy over two tokens whose logits are parameters, at first 0: each token has probability 1/2."""

    def __init__(self, num_tokens: int, *, values: torch.Tensor | None = None) -> None:
        super().__init__()
        self.causal_lm = SimpleNamespace(config=SimpleNamespace(_attn_implementation="sdpa"))
        self.logits = nn.Parameter(torch.zeros(num_tokens, 2))
        self.values = values

    def forward(self, input_ids, attention_mask, position_ids, chosen, of_logits):
        return of_logits(self.logits, slice(0, len(self.logits))), self.values


def batch_of(loss_mask, *, ref_logprob=QUARTER, advantages=0.0, returns=0.0):
    mask = torch.tensor([loss_mask])
    shape, ids = mask.shape, torch.ones(1, len(loss_mask) + 1, dtype=torch.long)

    def everywhere(number):
        return torch.full(shape, number)

    return RolloutBatch(
        ids, torch.arange(ids.shape[1])[None], ids, ids, mask, everywhere(math.log(0.5)), everywhere(ref_logprob),
        everywhere(0.0), everywhere(advantages), everywhere(returns), num_tokens=torch.tensor(2.0),
    )  # fmt: skip


def loss_of(policy, batch, kl, *, critic=None, kl_coef=0.1, **settings):
    algorithm = AlgorithmConfig(estimator="grpo", **settings)
    return rl_loss(policy, batch, algorithm, critic, kl, kl_coef=kl_coef, temperature=1.0, num_tokens=torch.tensor(2.0))


def test_divergence_in_the_loss_by_hand():
    divergence = 0.5 - 1 + math.log(2)  # p 1/2 against 1/4: r - 1 - log r with r = 1/2
    policy = FairCoin(2)
    result = loss_of(policy, batch_of([True, False, True]), KLConfig(apply_to="loss", estimator="k3"))
    assert result.loss.item() == pytest.approx(0.1 * divergence, abs=1e-6)
    assert result.metrics["kl/loss"].item() == pytest.approx(divergence, abs=1e-6)
    result.loss.backward()
    # by log p the loss of a token has slope .1/2 * (1 - r); log p has slope 1/2 by its logit
    torch.testing.assert_close(policy.logits.grad[:, 1], torch.full((2,), 0.05 * 0.5 * 0.5))


def test_divergence_in_the_reward_is_not_in_the_loss():
    policy = FairCoin(2)
    result = loss_of(policy, batch_of([True, False, True]), KLConfig(apply_to="reward"))
    assert result.loss.item() == 0.0
    assert "kl/loss" not in result.metrics


def test_without_a_critic_no_value_is_trained_and_with_one_it_is():
    values = torch.tensor([0.5, 0.5])
    without = loss_of(FairCoin(2), batch_of([True, False, True], returns=1.0), KLConfig())
    assert not any(tag.startswith("value/") for tag in without.metrics)
    critic = CriticConfig(coef=2.0, clip=None)
    batch = batch_of([True, False, True], returns=1.0)
    result = loss_of(FairCoin(2, values=values), batch, KLConfig(), critic=critic)
    assert result.loss.item() == pytest.approx(2.0 * 0.5 * 0.25)  # half of (1 - .5) squared, twice


@pytest.mark.parametrize("place", ["reward", "loss"])
def test_a_minibatch_with_nothing_to_train_has_a_finite_loss_with_a_graph(place):
    policy = FairCoin(0)
    result = loss_of(
        policy, batch_of([False, False, False]), KLConfig(apply_to=place, estimator="k3"), entropy_coef=0.1
    )
    assert result.loss.item() == 0.0
    result.loss.backward()
    assert policy.logits.grad.shape == (0, 2)


def test_means_over_the_parts_of_a_step_are_means_over_its_tokens():
    # a step of four tokens in parts of three and one has two for each part; in the part of one, p is 3/4 in place of
    # 1/2: ratio 3/2, k3 = 3/2 - 1 - log 3/2
    near, far = FairCoin(3), FairCoin(1)
    with torch.no_grad():
        far.logits[:, 1] = math.log(3)
    parts = [
        loss_of(near, batch_of([True, True, True], advantages=1.0), KLConfig()),
        loss_of(far, batch_of([True, False, False]), KLConfig()),
    ]
    assert parts[0].loss.item() == pytest.approx(-1.5)
    assert sum(part.ratio.item() for part in parts) / 2 == pytest.approx((3 * 1.0 + 1.5) / 4)
    assert sum(part.approx_kl.item() for part in parts) / 2 == pytest.approx((0.5 - math.log(1.5)) / 4, abs=1e-6)
