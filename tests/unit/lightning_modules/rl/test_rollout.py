import math
from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from executor.types import Outcome, Reward, Status
from lightning_modules.generation.generate import Generated
from lightning_modules.models.policy import Policy
from lightning_modules.models.reference import ReferencePolicy, weights_sha256
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig
from lightning_modules.rl.kl_control import KLConfig
from lightning_modules.rl.metrics import REWARD_PARTS
from lightning_modules.rl.responses import Response, TokenScores
from lightning_modules.rl.rollout import build_samples, score_tokens

PLAIN = AlgorithmConfig(whiten=False)
CRITIC = CriticConfig(gae_lambda=1.0)
KL = KLConfig()


def response(reward, *, group=0, length=2, finished=True):
    status = Status.INFRA if reward is None else Status.PASSED if reward > 0 else Status.WRONG
    judged = (
        None if reward is None else Reward(total=reward, parts={**dict.fromkeys(REWARD_PARTS, 0.0), "passed": reward})
    )
    outcome = Outcome(status=status, num_passed=0, num_tests=1, duration_s=0.0, reward=judged)
    return Response([1, 4], group, Generated([5] * length, [-1.0] * length, finished), outcome)


def scores_of(lengths, *, logprob=-1.0, ref_logprob=-1.5, value=0.25):
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return TokenScores(*[torch.where(mask, number, 0.0) for number in (logprob, ref_logprob, value)], mask)


def test_rewards_advantages_and_returns_by_hand():
    # k1 is .5 a token, at .1 a nat: token rewards -.05 and 1 - .05; with lambda = gamma = 1 the returns are
    # .9 and .95, the advantages .9 - .25 and .95 - .25
    result = build_samples([response(1.0)], scores_of([2]), algorithm=PLAIN, critic=CRITIC, kl=KL, kl_coef=0.1)
    [sample] = result.samples
    torch.testing.assert_close(sample.returns, torch.tensor([0.9, 0.95]))
    torch.testing.assert_close(sample.advantages, torch.tensor([0.65, 0.7]))
    assert sample.loss_mask.all()
    assert result.kl_per_response == pytest.approx(1.0)
    assert result.metrics["kl/k1"] == pytest.approx(0.5)
    assert result.metrics["kl/k3"] == pytest.approx(0.5 - 1 + 0.60653, abs=1e-4)  # e^-.5 = .60653


def advantages_of(estimator, kl=KL, *, gamma=1.0, kl_coef=0.1):
    """Those of two responses to one prompt: reward 1 with two tokens, reward 0 with three."""
    both = [response(1.0, length=2), response(0.0, length=3)]
    algorithm = AlgorithmConfig(estimator=estimator, whiten=False, gamma=gamma)
    result = build_samples(both, scores_of([2, 3]), algorithm=algorithm, critic=None, kl=kl, kl_coef=kl_coef)
    assert not any(tag.startswith("value/") for tag in result.metrics)
    assert all(not sample.returns.any() for sample in result.samples)
    return [sample.advantages.tolist() for sample in result.samples]


def test_estimators_without_a_critic_by_hand():
    # k1 is .5 a token, so at .1 a nat a response of 2 tokens pays .1, one of 3 tokens .15: .9 and -.15
    assert advantages_of("rloo") == [pytest.approx([1.05] * 2), pytest.approx([-1.05] * 3)]
    # about .375 by .525 each; the deviation of two is .525 * sqrt 2
    assert advantages_of("grpo") == [pytest.approx([0.7071] * 2, abs=1e-3), pytest.approx([-0.7071] * 3, abs=1e-3)]
    # tokens pay .05; the last has the reward; discounted by .5 to the front
    found = advantages_of("reinforce_pp", gamma=0.5)
    assert found == [pytest.approx([0.425, 0.95]), pytest.approx([-0.0875, -0.075, -0.05])]


def test_where_and_how_the_divergence_is_paid_for_by_hand():
    in_loss = KLConfig(place="loss", estimator="k3")
    assert advantages_of("rloo", in_loss) == [pytest.approx([1.0] * 2), pytest.approx([-1.0] * 3)]
    # k3 is e^-.5 - 1 + .5 = .10653 a token: 1 - .021306 and -.031959
    k3 = KLConfig(estimator="k3")
    assert advantages_of("rloo", k3)[0] == pytest.approx([1.010653] * 2, abs=1e-5)


def test_an_infrastructure_fault_is_left_out_of_everything():
    both = [response(1.0, length=2), response(None, length=3)]
    result = build_samples(both, scores_of([2, 3]), algorithm=PLAIN, critic=CRITIC, kl=KL, kl_coef=0.0)
    assert result.samples[0].loss_mask.all()
    assert not result.samples[1].loss_mask.any()
    assert result.metrics["reward/mean"] == 1.0
    assert result.metrics["reward/pass_rate"] == 1.0
    assert result.metrics["rollout/num_infra"] == 1.0
    assert result.metrics["rollout/status/infra"] == 0.5
    assert result.num_known == 1
    alone = build_samples(
        both[:1], scores_of([2]), algorithm=replace(PLAIN, whiten=True), critic=CRITIC, kl=KL, kl_coef=0.0
    )
    whitened = build_samples(
        both, scores_of([2, 3]), algorithm=replace(PLAIN, whiten=True), critic=CRITIC, kl=KL, kl_coef=0.0
    )
    torch.testing.assert_close(whitened.samples[0].advantages, alone.samples[0].advantages)


def test_an_iteration_of_nothing_but_faults_has_no_reward():
    result = build_samples([response(None)], scores_of([2]), algorithm=PLAIN, critic=CRITIC, kl=KL, kl_coef=0.1)
    assert not result.samples[0].loss_mask.any()
    tags = ("reward/mean", "reward/std", "reward/pass_rate", "reward/passed", "reward/loads")
    assert all(math.isnan(result.metrics[tag]) for tag in tags)
    assert (result.num_judged.tolist(), result.num_correct.tolist()) == ([0], [0])


def test_advantages_are_whitened_over_all_trained_tokens():
    result = build_samples(
        [response(1.0), response(0.0, length=3)],
        scores_of([2, 3]),
        algorithm=AlgorithmConfig(),
        critic=CRITIC,
        kl=KL,
        kl_coef=0.05,
    )
    advantages = torch.cat([sample.advantages for sample in result.samples])
    assert advantages.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert advantages.std(correction=0).item() == pytest.approx(1.0, abs=1e-5)


def test_uniform_groups_are_counted_and_dropped_where_asked():
    rows = [response(1.0, group=0), response(1.0, group=0), response(1.0, group=1), response(0.0, group=1)]
    kept = build_samples(rows, scores_of([2] * 4), algorithm=PLAIN, critic=CRITIC, kl=KL, kl_coef=0.0)
    dropped = build_samples(
        rows, scores_of([2] * 4), algorithm=replace(PLAIN, drop_uniform_groups=True), critic=CRITIC, kl=KL, kl_coef=0.0
    )
    assert kept.metrics["rollout/uniform_share"] == dropped.metrics["rollout/uniform_share"] == 0.5
    assert [bool(sample.loss_mask.any()) for sample in kept.samples] == [True] * 4
    assert [bool(sample.loss_mask.any()) for sample in dropped.samples] == [False, False, True, True]


def test_truncated_responses_are_left_out_where_asked():
    rows = [response(1.0), response(0.0, finished=False)]
    kept = build_samples(rows, scores_of([2, 2]), algorithm=PLAIN, critic=CRITIC, kl=KL, kl_coef=0.0)
    dropped = build_samples(
        rows, scores_of([2, 2]), algorithm=replace(PLAIN, mask_truncated=True), critic=CRITIC, kl=KL, kl_coef=0.0
    )
    assert [bool(sample.loss_mask.any()) for sample in kept.samples] == [True, True]
    assert [bool(sample.loss_mask.any()) for sample in dropped.samples] == [True, False]
    assert kept.metrics["rollout/finished"] == 0.5


@pytest.fixture(scope="module")
def policy():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.4,
    )
    built = Policy(LlamaForCausalLM(config), critic="shared").eval()
    torch.nn.init.normal_(built.value_head.weight)
    return built


@pytest.mark.parametrize("batch_size", [1, 8])
def test_scores_are_those_of_each_row_alone(policy, batch_size):
    prompts, responses = [[1, 3], [1, 4, 5, 6], [1]], [[7, 8, 2], [9], [2, 3]]
    reference = ReferencePolicy(policy)
    scores = score_tokens(policy, reference, prompts, responses, batch_size=batch_size, pad_id=0, temperature=0.5)
    for i, (prompt, answer) in enumerate(zip(prompts, responses, strict=True)):
        ids = torch.tensor([prompt + answer])
        with torch.no_grad():
            everywhere = torch.ones_like(ids, dtype=torch.bool)
            logits, values = policy(ids, torch.ones_like(ids), torch.arange(ids.shape[1])[None], everywhere)
        expected = torch.log_softmax(logits / 0.5, -1)
        for j, token in enumerate(answer):
            before = len(prompt) + j - 1
            assert scores.logprobs[i, j].item() == pytest.approx(expected[before, token].item(), abs=1e-4)
            assert scores.values[i, j].item() == pytest.approx(values[before].item(), abs=1e-4)
        assert scores.logprobs[i, len(answer) :].abs().sum() == 0
    torch.testing.assert_close(scores.logprobs, scores.ref_logprobs)


def test_the_reference_stays_when_the_policy_moves(policy):
    reference = ReferencePolicy(policy)
    ids = torch.tensor([[1, 2, 3]])
    wanted = torch.tensor([[True, False, True]])
    before = logits_of(reference, ids, torch.ones_like(ids), torch.arange(3)[None], wanted)
    assert before.shape[0] == 2
    first = weights_sha256(policy.causal_lm)
    with torch.no_grad():
        next(policy.causal_lm.parameters()).add_(1.0)
    torch.testing.assert_close(logits_of(reference, ids, torch.ones_like(ids), torch.arange(3)[None], wanted), before)
    assert weights_sha256(policy.causal_lm) != first


def logits_of(reference: ReferencePolicy, *read: torch.Tensor) -> torch.Tensor:
    return reference.of_logits(*read, lambda logits, part: (logits,))[0]
