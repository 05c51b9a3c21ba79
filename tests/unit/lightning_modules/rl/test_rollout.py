import math
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from datamodules.batches import PromptBatch
from executor.grading.rewards import RewardConfig
from executor.types import Reward
from lightning_modules.generation.sampler import Completion, SamplingParams
from lightning_modules.models.policy import Policy
from lightning_modules.models.reference import ReferencePolicy, weights_sha256
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig, RLConfig, RolloutConfig
from lightning_modules.rl.objectives.numerics import no_reduce
from lightning_modules.rl.objectives.rollout_correction import RolloutCorrectionConfig
from lightning_modules.rl.rollout import compute_advantages, compute_logprobs
from lightning_modules.rl.rollouts.metrics import measure_rollouts
from lightning_modules.rl.rollouts.records import Rollout, SampledRollouts
from lightning_modules.rl.rollouts.sampling import RolloutContext, group_rollouts
from tests.support.fake_engine import FakeEngine
from tests.support.fake_executor import FakeExecutor
from tests.support.number_tokenizer import NumberTokenizer
from tests.support.rollouts import make_logprobs, make_rollout
from tests.support.small_data import task_prompt

PASSED = make_rollout(1.0).outcome
PLAIN = AlgorithmConfig(whiten=False)
CRITIC = CriticConfig(gae_lambda=1.0)


def config_of(**settings) -> RLConfig:
    options = {
        "algorithm": PLAIN,
        "critic": CRITIC,
        "kl": KLConfig(),
        "sampling": SamplingParams(max_new_tokens=8),
        "reward": RewardConfig(),
    }
    return RLConfig(**(options | settings))


def advantages_of(rollouts, logprobs, *, kl_coef=0.0, **settings):
    return compute_advantages(rollouts, logprobs, config_of(**settings), kl_coef)


def measure(rollouts, logprobs, *, kl_coef=0.0, **settings):
    config = config_of(**settings)
    targets = compute_advantages(rollouts, logprobs, config, kl_coef=kl_coef)
    seconds = {"generate": 1.0, "logprob": 1.0, "execute": 1.0}
    sampled = SampledRollouts(rollouts, [], rollouts, 1, PromptBatch(0, [], [], 1))
    return measure_rollouts(sampled, logprobs, targets, None, config, seconds, no_reduce)


def test_advantages_and_returns_of_gae_by_hand():
    # k1 is .5 a token, at .1 a nat: token rewards -.05 and 1 - .05; with lambda = gamma = 1 the returns are
    # .9 and .95, the advantages .9 - .25 and .95 - .25
    found = advantages_of([make_rollout(1.0)], make_logprobs([2]), kl_coef=0.1)
    torch.testing.assert_close(found.returns, torch.tensor([[0.9, 0.95]]))
    torch.testing.assert_close(found.advantages, torch.tensor([[0.65, 0.7]]))
    assert found.loss_mask.all()
    stats = measure([make_rollout(1.0)], make_logprobs([2]), kl_coef=0.1)
    assert (stats.kl, stats.num_rewarded) == (pytest.approx(1.0), 1)
    assert stats.metrics["kl/sequence"] == stats.kl
    assert stats.metrics["kl/k1"] == pytest.approx(0.5)
    assert stats.metrics["kl/k3"] == pytest.approx(0.5 - 1 + 0.60653, abs=1e-4)  # e^-.5 = .60653


def without_critic(estimator, *, gamma=1.0, **settings):
    """Advantages of two completions of a prompt: reward 1 with two tokens, reward 0 with three; .1 a nat."""
    both = [make_rollout(1.0, length=2), make_rollout(0.0, length=3)]
    algorithm = AlgorithmConfig(estimator=estimator, whiten=False, gamma=gamma)
    found = advantages_of(both, make_logprobs([2, 3]), algorithm=algorithm, critic=None, kl_coef=0.1, **settings)
    assert not found.returns.any()
    return [found.advantages[0, :2].tolist(), found.advantages[1].tolist()]


def test_estimators_without_a_critic_by_hand():
    # k1 is .5 a token, so at .1 a nat a completion of 2 tokens pays .1, one of 3 tokens .15: .9 and -.15
    assert without_critic("rloo") == [pytest.approx([1.05] * 2), pytest.approx([-1.05] * 3)]
    # about .375 by .525 each; the deviation of two is .525 * sqrt 2
    assert without_critic("grpo") == [pytest.approx([0.7071] * 2, abs=1e-3), pytest.approx([-0.7071] * 3, abs=1e-3)]
    # tokens pay .05; the last has the reward; discounted by .5 to the front
    found = without_critic("reinforce_pp", gamma=0.5)
    assert found == [pytest.approx([0.425, 0.95]), pytest.approx([-0.0875, -0.075, -0.05])]


def test_kl_penalty_by_estimator_and_place():
    in_loss = KLConfig(apply_to="loss", estimator="k3")
    assert without_critic("rloo", kl=in_loss) == [pytest.approx([1.0] * 2), pytest.approx([-1.0] * 3)]
    # k3 is e^-.5 - 1 + .5 = .10653 a token: 1 - .021306 and -.031959
    k3 = KLConfig(estimator="k3")
    assert without_critic("rloo", kl=k3)[0] == pytest.approx([1.010653] * 2, abs=1e-5)


def test_critic_and_gamma_and_lambda_enter_gae():
    rollouts, logprobs = [make_rollout(1.0)], make_logprobs([2])
    # rewards 0 and 1, values .25: errors gamma * .25 - .25 and .75
    for gamma, gae_lambda in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.5)):
        settings = {"algorithm": replace(PLAIN, gamma=gamma), "critic": replace(CRITIC, gae_lambda=gae_lambda)}
        first, last = advantages_of(rollouts, logprobs, **settings).advantages[0].tolist()
        assert last == pytest.approx(0.75)
        assert first == pytest.approx(gamma * 0.25 - 0.25 + gamma * gae_lambda * 0.75)


def test_an_infra_fault_is_excluded_from_loss_whitening_and_metrics():
    both, logprobs = [make_rollout(1.0, length=2), make_rollout(None, length=3)], make_logprobs([2, 3])
    found = advantages_of(both, logprobs)
    assert found.loss_mask.tolist() == [[True, True, False], [False, False, False]]
    metrics = measure(both, logprobs).metrics
    assert metrics["reward/mean"] == metrics["reward/pass_rate"] == metrics["rollout/num_infra"] == 1.0
    assert metrics["status/rollout/infra"] == metrics["rollout/trained_frac"] == 0.5
    assert measure(both, logprobs).num_rewarded == 1
    whitening = {"algorithm": replace(PLAIN, whiten=True)}
    alone = advantages_of(both[:1], make_logprobs([2]), **whitening).advantages
    torch.testing.assert_close(advantages_of(both, logprobs, **whitening).advantages[:1, :2], alone)


def test_an_iteration_of_infra_faults_has_no_reward():
    rollouts, logprobs = [make_rollout(None)], make_logprobs([2])
    assert not advantages_of(rollouts, logprobs).loss_mask.any()
    stats = measure(rollouts, logprobs)
    tags = ("reward/mean", "reward/std", "reward/pass_rate", "reward/passed", "reward/loads", "rollout/pass_at_1")
    assert all(math.isnan(stats.metrics[tag]) for tag in tags)
    assert (stats.kl, stats.num_rewarded) == (0.0, 0)


def test_advantages_are_whitened_over_all_trained_tokens():
    rollouts, logprobs = [make_rollout(1.0), make_rollout(0.0, length=3)], make_logprobs([2, 3])
    advantages = advantages_of(rollouts, logprobs, algorithm=AlgorithmConfig()).advantages[logprobs.mask]
    assert advantages.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert advantages.std(correction=0).item() == pytest.approx(1.0, abs=1e-5)


def test_zero_variance_groups_are_counted_and_filtered_on_request():
    rollouts = [make_rollout(reward, group=group) for reward, group in ((1.0, 0), (1.0, 0), (1.0, 1), (0.0, 1))]
    logprobs, filtering = make_logprobs([2] * 4), {"algorithm": replace(PLAIN, filter_zero_variance_groups=True)}
    assert advantages_of(rollouts, logprobs).loss_mask.all()
    assert advantages_of(rollouts, logprobs, **filtering).loss_mask.any(1).tolist() == [False, False, True, True]
    for settings, trained in (({}, 1.0), (filtering, 0.5)):
        metrics = measure(rollouts, logprobs, **settings).metrics
        assert (metrics["rollout/zero_variance_frac"], metrics["rollout/trained_frac"]) == (0.5, trained)


def test_truncated_completions_are_masked_on_request():
    rollouts, logprobs = [make_rollout(1.0), make_rollout(0.0, finished=False)], make_logprobs([2, 2])
    masking = {"algorithm": replace(PLAIN, mask_truncated_completions=True)}
    assert advantages_of(rollouts, logprobs).loss_mask.any(1).tolist() == [True, True]
    assert advantages_of(rollouts, logprobs, **masking).loss_mask.any(1).tolist() == [True, False]
    assert measure(rollouts, logprobs).metrics["completions/eos_frac"] == 0.5


def test_long_completions_are_punished_and_still_count_as_equal():
    # at most 8 tokens, a buffer of 4: 8 tokens cost 1.0, 2 cost nothing
    rollouts = [make_rollout(1.0, length=2), make_rollout(1.0, length=8)]
    settings = {"estimator": "rloo", "whiten": False, "overlong_buffer": 4}
    for filters in (False, True):
        algorithm = AlgorithmConfig(**settings, filter_zero_variance_groups=filters)
        found = advantages_of(rollouts, make_logprobs([2, 8]), algorithm=algorithm, critic=None)
        assert found.advantages[:, 0].tolist() == [1.0, -1.0]
        assert bool(found.loss_mask.any()) is not filters
    metrics = measure(rollouts, make_logprobs([2, 8]), algorithm=algorithm, critic=None).metrics
    assert (metrics["reward/overlong_penalty"], metrics["reward/mean"]) == (0.5, 1.0)


@pytest.mark.parametrize("needs_pass", [True, False])
def test_zero_variance_is_that_of_the_rewards_that_are_trained_on(needs_pass):
    # nothing passed and one loads: without partial credit, the rewards of the group are equal
    loads = make_rollout(0.0)
    reward = Reward(total=0.1, parts=loads.outcome.reward.parts | {"loads": 0.1, "passed": 0.0})
    rollouts = [make_rollout(0.0), loads._replace(outcome=replace(loads.outcome, reward=reward))]
    algorithm = replace(PLAIN, partial_credit_needs_pass=needs_pass)
    metrics = measure(rollouts, make_logprobs([2, 2]), algorithm=algorithm).metrics
    assert metrics["rollout/zero_variance_frac"] == float(needs_pass)


def test_importance_weights_multiply_advantages_and_rejected_tokens_are_not_trained():
    # sampled at log-probability -1; the trainer's are log 3 higher for the first completion, log 1/4 for the second
    logprobs = make_logprobs([2, 2])
    shift = torch.log(torch.tensor([[3.0], [0.25]]))
    moved = logprobs._replace(logprobs=logprobs.logprobs + shift)
    correction = RolloutCorrectionConfig(rollout_is="token", rollout_rs="token", rollout_rs_threshold=3.5)
    algorithm = AlgorithmConfig(estimator="rloo", whiten=False, rollout_correction=correction)
    both = [make_rollout(1.0), make_rollout(0.0)]
    found = advantages_of(both, moved, algorithm=algorithm, critic=None)
    assert found.advantages.tolist() == [[2.0, 2.0], [-0.25, -0.25]]
    assert found.loss_mask.any(1).tolist() == [True, False]
    assert found.value_mask.all()
    metrics = measure(both, moved, algorithm=algorithm, critic=None).metrics
    assert metrics["rollout/is_weight_max"] == pytest.approx(3.0)
    assert metrics["rollout/rs_rejected_frac"] == 0.5


def test_weights_are_the_default_where_another_policy_samples():
    assert config_of().rollout_correction is None
    off = replace(PLAIN, rollout_correction=RolloutCorrectionConfig())
    stale = RolloutConfig(staleness=1)
    assert config_of(rollout=stale).rollout_correction == RolloutCorrectionConfig(rollout_is="token")
    assert config_of(rollout=stale, algorithm=off).rollout_correction is None
    on = RolloutCorrectionConfig(rollout_rs="geometric")
    config = config_of(algorithm=AlgorithmConfig(estimator="grpo", rollout_correction=on), critic=None)
    assert config.rollout_correction is on
    assert config.needs_logprobs(1)


def test_groups_are_numbered_by_task():
    prompts = [task_prompt(name) for name in ("b", "b", "a", "b")]
    completions = [Completion("", [1], [0.0], True)] * 4
    outcomes = [make_rollout(1.0).outcome] * 4
    assert [rollout.group for rollout in group_rollouts(prompts, completions, outcomes)] == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"critic": None}, "algorithm.estimator is gae, which needs a critic"),
        ({"algorithm": AlgorithmConfig(estimator="grpo")}, "set critic to null"),
        ({"algorithm": AlgorithmConfig(estimator="rloo", gamma=0.9), "critic": None}, "algorithm.gamma is 0.9"),
        ({"sampling": SamplingParams(max_new_tokens=3, temperature=0.0)}, "sampling.temperature is 0.0"),
        ({"algorithm": AlgorithmConfig(overlong_buffer=9)}, "overlong_buffer is 9 tokens, but sampling.max_new_tokens"),
        (
            {"algorithm": AlgorithmConfig(overlong_buffer=4, mask_truncated_completions=True)},
            "overlong_buffer 4 punishes truncated completions, but mask_truncated_completions",
        ),
        ({"rollout_batch_size": 0}, "rollout_batch_size is 0"),
        ({"logprob_batch_size": 0}, "logprob_batch_size is 0"),
        ({"reward_probe_fraction": 1.5}, "reward_probe_fraction is 1.5"),
    ],
)
def test_contradictory_settings_are_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        config_of(**settings)


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
def test_logprobs_and_values_are_those_of_each_completion_alone(policy, batch_size):
    prompts, responses = [[1, 3], [1, 4, 5, 6], [1]], [[7, 8, 2], [9], [2, 3]]
    context = RolloutContext(
        policy=policy,
        reference=ReferencePolicy(policy),
        tokenizer=NumberTokenizer(eos_id=2, pad_id=0),  # type: ignore[arg-type]
        executor=FakeExecutor(),
        engine=FakeEngine(),
        policy_version=0,
        config=config_of(logprob_batch_size=batch_size, sampling=SamplingParams(max_new_tokens=8, temperature=0.5)),
        kl_coef=0.0,
        decoding_dtype=None,
        autocast=nullcontext,
        sum_over_ranks=no_reduce,
        start_progress=lambda label, total: lambda: None,
    )
    rollouts = [
        Rollout(task_prompt(prompt_ids=prompt), 0, Completion("", response, [], True), PASSED)
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    scores = compute_logprobs(context, rollouts)
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
    return reference.forward(*read, lambda logits, part: (logits,))[0]
