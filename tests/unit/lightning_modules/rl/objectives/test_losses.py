import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from datamodules.batches import RolloutBatch
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig
from lightning_modules.rl.objectives.losses import critic_loss, number_completions, ppo_value_loss, rl_loss
from lightning_modules.rl.objectives.policy_losses import ppo_policy_loss

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
    assert result.metrics["clip_frac"].item() == 0.0
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
    assert result.metrics["clip_frac"].item() == float(cut)


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
    assert result.metrics["clip_frac"].item() == 1.0
    # overshooting: new 3 past target 2 is held at .2 with error 1.8, larger than 1
    assert value_loss([3.0], [0.0], [2.0], clip=0.2)[0].loss.item() == pytest.approx(1.62)
    # within the range nothing is held
    assert value_loss([0.1], [0.0], [2.0], clip=0.2)[0].metrics["clip_frac"].item() == 0.0


QUARTER = math.log(0.25)


class FairCoin(nn.Module):
    """A policy over two tokens whose logits are parameters, at first 0: each token has probability 1/2."""

    def __init__(self, num_tokens: int, *, values: torch.Tensor | None = None) -> None:
        super().__init__()
        self.causal_lm = SimpleNamespace(config=SimpleNamespace(_attn_implementation="sdpa"))
        self.logits = nn.Parameter(torch.zeros(num_tokens, 2))
        self.values = values
        self.return_std = torch.tensor(0.5)

    def forward(self, input_ids, attention_mask, position_ids, chosen, of_logits, heads):
        outputs = None if heads == "critic" else of_logits(self.logits, slice(0, len(self.logits)))
        return outputs, None if heads == "policy" else self.values


def batch_of(loss_mask, *, ref_logprob=QUARTER, advantages=0.0, returns=0.0):
    mask = torch.tensor([loss_mask])
    shape, ids = mask.shape, torch.ones(1, len(loss_mask) + 1, dtype=torch.long)

    def everywhere(number):
        return torch.full(shape, number)

    return RolloutBatch(
        ids, torch.arange(ids.shape[1])[None], ids, ids, mask, everywhere(math.log(0.5)), everywhere(ref_logprob),
        everywhere(0.0), everywhere(advantages), everywhere(returns), num_tokens=torch.tensor(2.0),
    )  # fmt: skip


def loss_of(policy, batch, kl, *, critic=None, kl_coef=0.1, entropy_coef=0.0, **settings):
    algorithm = AlgorithmConfig(estimator="grpo", **settings)
    numbers = {"kl_coef": kl_coef, "entropy_coef": entropy_coef, "temperature": 1.0, "num_tokens": torch.tensor(2.0)}
    return rl_loss(policy, batch, algorithm, critic, kl, **numbers)


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
    critic = CriticConfig(trunk="shared", coef=2.0)
    batch = batch_of([True, False, True], returns=1.0)
    result = loss_of(FairCoin(2, values=values), batch, KLConfig(), critic=critic)
    assert result.loss.item() == pytest.approx(2.0 * 0.5 * 1.0)  # half of ((1 - .5) / .5) squared, twice


def test_a_separate_critic_is_trained_only_in_its_own_steps():
    values = torch.tensor([0.5, 0.5])
    batch, policy = batch_of([True, False, True], returns=1.0), FairCoin(2, values=values)
    assert loss_of(policy, batch, KLConfig(), critic=CriticConfig()).loss.item() == 0.0
    # the error of .5 is one standard deviation; clipped to a distance of .5 deviations from 0 it would be 1.5
    for clip, expected in ((None, 0.5 * 1.0), (0.5, 0.5 * 1.5**2)):
        result = critic_loss(policy, batch, CriticConfig(clip=clip), num_tokens=torch.tensor(2.0))
        assert result.loss.item() == pytest.approx(expected)


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


def test_each_policy_loss_is_chosen_by_its_name():
    # of three tokens, the first two of one completion; p is 3/4 in place of 1/2 for the first: ratio 3/2. The ratio of
    # the completion is sqrt(3/2) = 1.2247; advantages 1, over 2 tokens
    losses = {"ppo": -(1.5 + 1 + 1) / 2, "gspo": -(2 * 1.5**0.5 + 1) / 2}
    losses["cispo"] = -(1.5 * math.log(0.75) + 2 * math.log(0.5)) / 2
    for name, expected in losses.items():
        policy = FairCoin(3)
        with torch.no_grad():
            policy.logits[0, 1] = math.log(3)
        batch = batch_of([True, True, True], advantages=1.0)
        batch = batch._replace(branch_ids=torch.tensor([[0, 1, 1, 2]]))
        result = loss_of(policy, batch, KLConfig(), policy_loss=name, clip_ratio_high=1.0)
        assert result.loss.item() == pytest.approx(expected, abs=1e-6), name
        assert result.ratio.item() == pytest.approx((1.5 + 1 + 1) / 2)


def test_the_predictions_of_a_completion_have_its_number():
    batch = batch_of([True] * 5)
    ids = [[1, 1, 1, 1, 2, 2]], [[0, 1, 1, 2, 0, 1]]
    batch = batch._replace(segment_ids=torch.tensor(ids[0]), branch_ids=torch.tensor(ids[1]))
    numbers = number_completions(batch)[0].tolist()
    assert numbers[0] == numbers[1]
    assert len({numbers[0], numbers[2], numbers[4]}) == 3
    two = batch._replace(segment_ids=batch.segment_ids.repeat(2, 1), branch_ids=batch.branch_ids.repeat(2, 1))
    assert len(number_completions(two).unique()) == 2 * 4  # completions of different rows are different


def test_the_entropy_bonus_has_its_current_weight():
    policy = FairCoin(2)
    result = loss_of(policy, batch_of([True, False, True]), KLConfig(), entropy_coef=0.5)
    assert result.loss.item() == pytest.approx(-0.5 * math.log(2))
